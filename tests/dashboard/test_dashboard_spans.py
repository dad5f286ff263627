from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emberd_tui.diff import changed
from emberd_tui.spans import (
    Line,
    Span,
    clean,
    dimmed,
    divide,
    fit,
    justify,
    line_width,
    overlay,
    pack,
    plain,
)

TEXTS = st.text(alphabet="ab 日本é⣿😀", max_size=8)
LINES: st.SearchStrategy[Line] = st.lists(
    st.builds(Span, TEXTS, st.sampled_from(["text", "good"])), max_size=5
).map(tuple)


def line(*texts: str) -> Line:
    return tuple(Span(text) for text in texts)


@given(LINES, st.integers(0, 40))
def test_fitting_gives_exactly_the_width(some: Line, width: int) -> None:
    assert line_width(fit(some, width, "…")) == width


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    assert plain(fit(line("emberd", " top"), 8, "…")) == "emberd …"


@given(LINES, st.integers(0, 40))
def test_dividing_loses_no_cell(some: Line, at: int) -> None:
    left, right = divide(some, at)
    assert line_width(left) == min(at, line_width(some))
    assert line_width(left) + line_width(right) == line_width(some)


def test_a_wide_character_across_a_cut_becomes_blanks() -> None:
    left, right = divide(line("日本"), 1)
    assert (plain(left), plain(right)) == (" ", " 本")


@given(LINES, LINES, st.integers(0, 20))
def test_an_overlay_keeps_the_width_and_shows_the_patch(some: Line, patch: Line, x: int) -> None:
    wide, patch = fit(some, 60), fit(patch, 30)
    done = overlay(wide, x, patch)
    assert line_width(done) == 60
    _, rest = divide(done, x)
    assert plain(divide(rest, line_width(patch))[0]) == plain(patch)


def test_the_right_end_keeps_its_place() -> None:
    assert plain(justify(line("a long left side"), line("right"), 12, "~")) == "a long~right"


def test_fields_of_the_highest_rank_go_first() -> None:
    fields = [(0, line("name")), (2, line("least")), (1, line("more"))]
    assert plain(pack(fields, 40)) == "name  least  more"
    assert plain(pack(fields, 12)) == "name  more"
    assert plain(pack(fields, 5)) == "name"


def test_fields_of_rank_0_stay() -> None:
    assert plain(pack([(0, line("one")), (0, line("two"))], 4)) == "one  two"


def test_what_a_client_calls_itself_cannot_move_the_cursor() -> None:
    assert clean("a\x1b[2Jb\nc\u202ed\u0301") == "a?[2Jb?cd"


def test_dimming_keeps_text_and_action() -> None:
    assert dimmed((Span("x", "good", "quit"),)) == (Span("x", "good", "quit", True),)


@given(LINES, LINES)
def test_outside_the_changed_stretch_two_lines_are_equal(old: Line, new: Line) -> None:
    old, new = fit(old, 60), fit(new, 60)
    found = changed(old, new)
    start, end = found or (60, 60)
    assert plain(divide(old, start)[0]) == plain(divide(new, start)[0])
    assert plain(divide(old, end)[1]) == plain(divide(new, end)[1])


def test_an_equal_line_is_not_written() -> None:
    assert changed(line("ab", "c"), line("a", "bc")) is None


def test_one_figure_is_one_short_stretch() -> None:
    assert changed(line("texts 12 ok"), line("texts 13 ok")) == (7, 8)


def test_a_change_of_colour_alone_is_a_change() -> None:
    assert changed((Span("ok", "good"),), (Span("ok", "bad"),)) == (0, 2)
