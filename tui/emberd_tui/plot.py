"""Values to cells: areas and lines in braille dots (2 x 4 a cell), or in ASCII (1 x 1).

Pure arithmetic on columns of dots. A zero is one dot on the floor; a gap has no dot at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from emberd_tui.axis import Axis
from emberd_tui.spans import Role

__all__ = ["DOTS_X", "DOTS_Y", "Raster", "draw_line", "draw_stack"]

DOTS_X, DOTS_Y = 2, 4

# Bits of U+2800 by (x, y in the cell), y from the top.
_BITS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
_BRAILLE = 0x2800
_FILLED_DOTS = 3


@dataclass(frozen=True, slots=True)
class _Layer:
    role: Role
    ascii_chars: str
    masks: list[bytearray]


class Raster:
    """`columns` x `rows` cells of dots in layers; a later layer lies over an earlier one."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self._layers: list[_Layer] = []

    @property
    def width(self) -> int:
        """In dots."""
        return self.columns * DOTS_X

    @property
    def height(self) -> int:
        """In dots."""
        return self.rows * DOTS_Y

    def add_layer(self, role: Role, ascii_chars: str) -> int:
        """A layer's number, for `dot`. `ascii_chars` are its cell nearly empty and filled."""
        masks = [bytearray(self.columns) for _ in range(self.rows)]
        self._layers.append(_Layer(role, ascii_chars, masks))
        return len(self._layers) - 1

    def dot(self, layer: int, x: int, y: int) -> None:
        """Light the dot at `x` from the left and `y` from the floor."""
        row, inner = divmod(self.height - 1 - y, DOTS_Y)
        self._layers[layer].masks[row][x // DOTS_X] |= _BITS[x % DOTS_X][inner]

    def cell(self, column: int, row: int, *, is_braille: bool) -> tuple[str, Role] | None:
        """The character of a cell (row 0 is the top) and its role; None where it is empty."""
        mask = most = 0
        top: _Layer | None = None
        for layer in self._layers:
            dots = layer.masks[row][column]
            if dots and dots.bit_count() >= most:
                most, top = dots.bit_count(), layer
            mask |= dots
        if top is None:
            return None
        if is_braille:
            return chr(_BRAILLE + mask), top.role
        return top.ascii_chars[mask.bit_count() >= _FILLED_DOTS], top.role


def _level(axis: Axis, value: float, height: int) -> int:
    """The dot that a value reaches; only a zero may lie on the floor."""
    level = round(axis.position(value) * (height - 1))
    return max(level, 1) if value > 0 else level


def draw_stack(
    raster: Raster,
    axis: Axis,
    lower: tuple[int, Sequence[float | None]],
    upper: tuple[int, Sequence[float | None]],
) -> None:
    """Two filled areas, `(layer, a value a dot column)`, the upper one standing on the lower.

    The lower area is solid and the upper one is sparse below its edge: told apart without colour.
    """
    (lower_layer, lower_values), (upper_layer, upper_values) = lower, upper
    for x, (low, high) in enumerate(zip(lower_values, upper_values, strict=True)):
        if low is None or high is None:
            continue
        edge = _level(axis, low, raster.height)
        for y in range(edge + 1):
            raster.dot(lower_layer, x, y)
        total = _level(axis, low + high, raster.height)
        total = max(total, min(edge + 1, raster.height - 1)) if high > 0 else edge
        for y in range(edge + 1, total + 1):
            if y == total or (x + y) % 2 == 0:
                raster.dot(upper_layer, x, y)


def draw_line(
    raster: Raster, axis: Axis, layer: int, values: Sequence[float | None], *, is_dashed: bool
) -> None:
    """A line two dots thick through the values, broken at None; or a thin one in dashes."""
    before: int | None = None
    for x, value in enumerate(values):
        if value is None:
            before = None
            continue
        level = round(axis.position(value) * (raster.height - 1))
        start = level if before is None else before
        before = level
        if is_dashed and x // DOTS_X % 2:
            continue
        low, high = min(level, start), max(level, start)
        for y in range(low if is_dashed else max(low - 1, 0), high + 1):
            raster.dot(layer, x, y)
