from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emberd_tui.axis import decade_axis, linear_axis
from emberd_tui.extremes import Extremes
from emberd_tui.history import Sample

_LATENCIES = st.none() | st.floats(0.0, 10_000.0)


@st.composite
def samples(draw: st.DrawFn) -> list[Sample]:
    """In the order of time, with pauses."""
    at, found = 0.0, []
    for _ in range(draw(st.integers(0, 30))):
        since, at = at, at + draw(st.sampled_from([1.0, 1.0, 1.0, 7.0, 90.0]))
        found.append(
            Sample(
                since=since,
                at=at,
                hits_per_s=draw(st.floats(0.0, 5_000.0)),
                computed_per_s=draw(st.floats(0.0, 500.0)),
                p50_ms=draw(_LATENCIES),
                p90_ms=None,
                p99_ms=draw(_LATENCIES),
                tiers=(),
            )
        )
    return found


@given(samples(), st.sampled_from([5.0, 60.0]))
def test_axes_hold_what_is_in_the_window_and_nothing_else(
    seen: list[Sample], window_s: float
) -> None:
    shown = [sample for sample in seen if sample.at > seen[-1].at - window_s]
    peak = max((sample.hits_per_s + sample.computed_per_s for sample in shown), default=0.0)
    latencies = [ms for sample in shown for ms in (sample.p50_ms, sample.p99_ms) if ms is not None]
    expected = linear_axis(peak * 1.25), decade_axis(latencies)
    assert Extremes(window_s, seen).axes(1.25) == expected
