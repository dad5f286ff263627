from __future__ import annotations

from emberd_tui.axis import Axis
from emberd_tui.plot import Raster, draw_line, draw_stack

TOP = Axis(0, 8)


def stacked(hits: list[float | None], computed: list[float | None], rows: int = 2) -> Raster:
    raster = Raster(len(hits) // 2, rows)
    lower, upper = raster.add_layer("hits", "_#"), raster.add_layer("computed", "_+")
    draw_stack(raster, TOP, (lower, hits), (upper, computed))
    return raster


def shown(raster: Raster, *, is_braille: bool = True) -> list[str]:
    return [
        "".join(
            (raster.cell(column, row, is_braille=is_braille) or (" ", ""))[0]
            for column in range(raster.columns)
        )
        for row in range(raster.rows)
    ]


def test_a_full_area_fills_every_dot() -> None:
    assert shown(stacked([8, 8], [0, 0])) == ["⣿", "⣿"]


def test_half_is_half_the_height() -> None:
    assert shown(stacked([3.4, 3.4], [0, 0])) == [" ", "⣿"]


def test_zero_is_a_line_on_the_floor() -> None:
    assert shown(stacked([0, 0], [0, 0])) == [" ", "⣀"]


def test_a_gap_is_nothing_at_all() -> None:
    assert shown(stacked([None, None], [None, None])) == [" ", " "]


def test_a_trickle_is_more_than_zero() -> None:
    assert shown(stacked([0.01, 0.01], [0, 0])) == [" ", "⣤"]


def test_computed_stands_on_hits_and_is_sparse_below_its_edge() -> None:
    raster = stacked([2, 2], [6, 6], rows=2)
    assert raster.cell(0, 1, is_braille=True) is not None
    assert [cell[1] for row in (0, 1) if (cell := raster.cell(0, row, is_braille=True))] == [
        "computed",
        "hits",
    ]
    solid = shown(stacked([8, 8], [0, 0]))
    assert shown(raster)[0] != solid[0]


def test_some_computed_shows_even_where_it_rounds_to_nothing() -> None:
    assert shown(stacked([4, 4], [0.01, 0.01])) != shown(stacked([4, 4], [0, 0]))


def test_ascii_tells_the_series_and_zero_apart() -> None:
    assert shown(stacked([8, 8], [0, 0]), is_braille=False) == ["#", "#"]
    assert shown(stacked([0, 0], [8, 8]), is_braille=False) == ["+", "+"]
    assert shown(stacked([0, 0], [0, 0]), is_braille=False) == [" ", "_"]


def lined(values: list[float | None], *, is_dashed: bool = False) -> Raster:
    raster = Raster(len(values) // 2, 2)
    draw_line(raster, TOP, raster.add_layer("p99", "**"), values, is_dashed=is_dashed)
    return raster


def test_a_line_is_two_dots_thick_and_a_dashed_one_is_thin() -> None:
    assert shown(lined([8, 8, 8, 8])) == ["⠛⠛", "  "]
    assert shown(lined([8, 8, 8, 8], is_dashed=True)) == ["⠉ ", "  "]


def test_a_step_is_joined_and_a_missing_value_is_not() -> None:
    assert shown(lined([0, 8])) == ["⢸", "⣸"]
    assert shown(lined([0, None, None, 8])) == [" ⠘", "⡀ "]
