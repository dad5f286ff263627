from __future__ import annotations

import pytest

from emberd_tui.glyphs import ASCII, UNICODE
from emberd_tui.parts import Column, bar, box, figure, keep, meter, table
from emberd_tui.spans import Line, Span, line_width, plain


def line(text: str) -> Line:
    return (Span(text),)


def test_a_box_has_its_size_whatever_is_in_it() -> None:
    body = [line("far too long for this box"), line("x")]
    drawn = box(line("Title"), line("legend"), body, 20, 5, UNICODE)
    assert [plain(one) for one in drawn] == [
        "╭─ Title ─ legend ─╮",
        "│far too long for …│",
        "│x                 │",
        "│                  │",
        "╰──────────────────╯",
    ]


def test_a_title_that_does_not_fit_is_left_out_rather_than_cut() -> None:
    drawn = box(line("Throughput"), line("1 2 3"), [], 18, 2, UNICODE)
    assert plain(drawn[0]) == "╭──────── 1 2 3 ─╮"


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(0, "────"), (0.001, "╸───"), (0.5, "━━──"), (0.63, "━━╸─"), (1, "━━━━"), (7, "━━━━")],
)
def test_a_bar_shows_half_cells_and_never_hides_a_little(ratio: float, shown: str) -> None:
    assert plain(bar(ratio, 4, "hits", UNICODE)) == shown


def test_an_ascii_bar_has_whole_cells() -> None:
    assert plain(bar(0.5, 4, "hits", ASCII)) == "##.."


def test_a_meter_without_a_figure_has_an_empty_bar() -> None:
    assert plain(meter("hits ", None, "    -", "hits", 20, ASCII)) == "hits ........      -"


def test_a_meter_without_room_has_no_bar() -> None:
    assert plain(meter("hits ", 0.5, "50.0%", "hits", 13, ASCII)) == "hits    50.0%"


def test_a_figure_keeps_its_place_when_it_grows() -> None:
    assert line_width(figure("9", " queued", 12)) == line_width(figure("1,204", " queued", 12))


def test_the_most_important_rows_are_kept_in_their_order() -> None:
    rows = [(0, line("a")), (9, line("b")), (1, line("c")), (0, line("d"))]
    assert [plain(one) for one in keep(rows, 3)] == ["a", "c", "d"]


COLUMNS: list[Column[tuple[str, int]]] = [
    Column("name", 6, lambda row: line(row[0]), align="left", is_elastic=True),
    Column("texts", 6, lambda row: line(str(row[1])), action="sort('texts')", is_sorted=True),
    Column("extra", 5, lambda row: line("x"), rank=3),
]


def test_a_table_leaves_out_columns_rather_than_cutting_them() -> None:
    rows = [("nvim", 12), ("a-long-client-name", 7)]
    assert [plain(one) for one in table(COLUMNS, rows, 22, UNICODE)] == [
        "name     texts▾  extra",
        "nvim         12      x",
        "a-long…       7      x",
    ]
    assert [plain(one) for one in table(COLUMNS, rows, 16, UNICODE)] == [
        "name      texts▾",
        "nvim          12",
        "a-long-…       7",
    ]


def test_a_heading_carries_the_action_of_its_column() -> None:
    heading = table(COLUMNS, [], 30, UNICODE)[0]
    assert [span.action for span in heading if span.action] == ["sort('texts')"]
