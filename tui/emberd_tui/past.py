"""The daemon's own history as samples, for the time before the dashboard was there."""

from __future__ import annotations

from collections.abc import Sequence

from emberd.wire.insight import HistoryColumns
from emberd_tui.history import Sample

__all__ = ["samples_of"]


def samples_of(past: HistoryColumns, offset_s: float) -> list[Sample]:
    """One sample a column, oldest first; columns without figures are left out.

    `offset_s` is added to the daemon's Unix seconds to give seconds of the dashboard's clock.
    """
    length = max((len(column) for column in past.columns.values()), default=0)
    hits, computed, p50, p99 = (
        _padded(past.columns.get(name, ()), length)
        for name in ("hits_per_s", "computed_per_s", "p50_ms", "p99_ms")
    )
    samples = []
    for index in range(length):
        if hits[index] is None and computed[index] is None:
            continue
        at = past.end - (length - 1 - index) * past.step_s + offset_s
        samples.append(
            Sample(
                since=at - past.step_s,
                at=at,
                hits_per_s=hits[index] or 0.0,
                computed_per_s=computed[index] or 0.0,
                p50_ms=p50[index],
                p90_ms=None,
                p99_ms=p99[index],
                tiers=(),
            )
        )
    return samples


def _padded(column: Sequence[float | None], length: int) -> list[float | None]:
    return [*[None] * (length - len(column)), *column]
