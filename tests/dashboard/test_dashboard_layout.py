from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from dashboard_support import NOW, dashboard_of, empty_snapshot, past, picture_of, text_of
from hypothesis import given, settings
from hypothesis import strategies as st

from emberd_tui.frame import Frame
from emberd_tui.layout import MIN_HEIGHT, MIN_WIDTH, arrange
from emberd_tui.picture import paint
from emberd_tui.spans import line_width
from emberd_tui.states import Connecting, Live, Lost, NoDaemon, State

WIDTHS = st.integers(MIN_WIDTH, 260)
HEIGHTS = st.integers(MIN_HEIGHT, 90)


@cache
def frame_of(kind: str) -> Frame:
    states: dict[str, list[State]] = {
        "live": past(),
        "lost": [*past(until=NOW - 5), Lost("gone", NOW + 1)],
        "empty": [Live(empty_snapshot(), NOW)],
        "away": [NoDaemon("nobody there " * 20, NOW + 1)],
        "connecting": [Connecting()],
    }
    return dashboard_of(states[kind]).frame(NOW)


@given(WIDTHS, HEIGHTS, st.integers(0, 12), st.integers(0, 12), st.booleans())
def test_panels_cover_the_screen_and_none_lies_over_another(
    width: int, height: int, plugin_lines: int, index_lines: int, has_added: bool
) -> None:
    cells = [0] * (width * height)
    places = arrange(
        width, height, plugin_lines=plugin_lines, index_lines=index_lines, has_added=has_added
    )
    for rect in places.values():
        assert rect.width >= 1
        assert rect.height >= 1
        for y in range(rect.y, rect.y + rect.height):
            for x in range(rect.x, rect.x + rect.width):
                cells[y * width + x] += 1
    assert set(cells) == {1}


@settings(max_examples=60, deadline=None)
@given(
    WIDTHS,
    HEIGHTS,
    st.sampled_from(["live", "lost", "empty", "away", "connecting"]),
    st.sampled_from(["", "help", "problems"]),
)
def test_every_line_is_as_wide_as_the_screen(
    width: int, height: int, kind: str, overlay: str
) -> None:
    frame = replace(frame_of(kind), overlay=overlay)
    lines = paint(frame, width, height).lines
    assert len(lines) == height
    assert {line_width(line) for line in lines} == {width}


@pytest.mark.parametrize("size", [(59, 16), (60, 15), (20, 5), (1, 1), (80, 0)])
def test_a_terminal_that_is_too_small_says_so(size: tuple[int, int]) -> None:
    picture = picture_of(past(), size)
    assert len(picture.lines) == size[1]
    assert "emberd needs 60x16"[: size[0] - 1] in text_of(picture) or size[1] == 0


def test_the_smallest_screen_keeps_the_plots_the_cache_and_the_engine() -> None:
    assert set(arrange(60, 16)) == {
        "header",
        "status",
        "throughput",
        "latency",
        "cache",
        "engine",
        "footer",
    }


def test_a_usual_screen_has_the_clients_too() -> None:
    assert "clients" in arrange(80, 24)


def test_a_large_screen_has_everything() -> None:
    assert set(arrange(160, 48)) >= {"requests", "clients", "models", "events"}


def test_collections_have_a_panel_where_there_are_any_and_both_have_room() -> None:
    assert "index" not in arrange(160, 48)
    assert arrange(160, 48, index_lines=3)["index"].height == 6
    assert arrange(160, 48, index_lines=30)["index"].height == 8
    assert arrange(160, 60, index_lines=3)["clients"].height >= 7
    assert "index" not in arrange(80, 24, index_lines=3)
    assert "clients" in arrange(80, 24, index_lines=3)
