"""Where panels go: a pure function of the terminal's size.

Three bands below the header and the status line: plots, meters, tables. Room is given to what
matters most; a panel that would be too small to read is left out rather than cut.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = ["MIN_HEIGHT", "MIN_WIDTH", "Place", "Rect", "arrange"]

MIN_WIDTH, MIN_HEIGHT = 60, 16

Place = Literal[
    "header",
    "status",
    "throughput",
    "latency",
    "pipeline",
    "cache",
    "engine",
    "requests",
    "clients",
    "index",
    "models",
    "plugins",
    "events",
    "added",
    "footer",
    "rows",
    "detail",
    "ratio",
]

_WIDE = 132  # three columns of meters from here on
_SPLIT = 110  # clients and events side by side from here on
_METERS = 7
_MOST_METERS = 10
_LEAST_TABLE = 5
_MODELS = 5
_MOST_PLUGINS = 9
_LEAST_PLUGINS = 4
_MOST_INDEX = 8
_LEAST_INDEX = 4
_LEAST_CLIENTS = 7  # above the index
_MOST_ADDED = 8
_LEAST_PLOT = 6


class Rect(NamedTuple):
    """Cells: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int

    def contains(self, x: int, y: int) -> bool:
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height


def arrange(
    width: int,
    height: int,
    *,
    plugin_lines: int = 0,
    index_lines: int = 0,
    has_added: bool = False,
) -> dict[Place, Rect]:
    """The panels to show and where; nothing for a terminal below 60x16.

    `plugin_lines` and `index_lines` are what the panels of plugins and collections would like, 0
    for none; `has_added` asks for a row of panels of other packages.
    """
    if width < MIN_WIDTH or height < MIN_HEIGHT:
        return {}
    plots, meters, tables = _bands(width, height - 3)
    strip = 1 if tables and plots > _LEAST_PLOT else 0
    plots -= strip
    places: dict[Place, Rect] = {
        "header": Rect(0, 0, width, 1),
        "status": Rect(0, 1, width, 1),
        "footer": Rect(0, height - 1, width, 1),
    }
    y = 2
    places |= _side_by_side(("throughput", "latency"), y, width, plots)
    y += plots
    if strip:
        places["pipeline"] = Rect(0, y, width, 1)
        y += 1
    names: tuple[Place, ...] = ("cache", "engine", "requests")
    places |= _side_by_side(names if width >= _WIDE else names[:2], y, width, meters)
    y += meters
    row = min(max(tables // 3, _LEAST_TABLE), _MOST_ADDED) if has_added else 0
    if row and tables >= row + _LEAST_TABLE:
        places["added"] = Rect(0, y + tables - row, width, row)
        tables -= row
    if tables:
        places |= _tables(y, width, tables, plugin_lines, index_lines)
    return places


def _bands(width: int, body: int) -> tuple[int, int, int]:
    """Heights of plots, meters and tables; their sum is `body`."""
    if body < _LEAST_PLOT + _METERS + _LEAST_TABLE:
        return body - _METERS, _METERS, 0
    # Two fifths for the plots, and one row more of meters for every six of height.
    meters = min(_METERS + max(body - 24, 0) // 4, _MOST_METERS)
    plots = max(min(round(body * 0.4), 30), _LEAST_PLOT)
    tables = body - meters - plots
    if tables < _LEAST_TABLE:
        plots, tables = body - meters - _LEAST_TABLE, _LEAST_TABLE
    return plots, meters, tables


def _side_by_side(names: tuple[Place, ...], y: int, width: int, height: int) -> dict[Place, Rect]:
    edges = [round(width * index / len(names)) for index in range(len(names) + 1)]
    return {
        name: Rect(edges[index], y, edges[index + 1] - edges[index], height)
        for index, name in enumerate(names)
    }


def _tables(
    y: int, width: int, height: int, plugin_lines: int, index_lines: int
) -> dict[Place, Rect]:
    if width >= _SPLIT:
        left = round(width * 0.58)
        beside = _stack(left, y, width - left, height, plugin_lines)
        return {**_clients(y, left, height, index_lines), **beside}
    below = height // 2 if height >= 2 * _LEAST_TABLE + 2 else 0
    places = _clients(y, width, height - below, index_lines)
    if below:
        places |= _stack(0, y + height - below, width, below, plugin_lines)
    return places


def _clients(y: int, width: int, height: int, index_lines: int) -> dict[Place, Rect]:
    """The clients, over the collections where there are any and both have room."""
    room = height - _LEAST_CLIENTS
    index = min(index_lines + 3, _MOST_INDEX, room)
    if not index_lines or room < _LEAST_INDEX:
        return {"clients": Rect(0, y, width, height)}
    return {
        "clients": Rect(0, y, width, height - index),
        "index": Rect(0, y + height - index, width, index),
    }


def _stack(x: int, y: int, width: int, height: int, plugin_lines: int) -> dict[Place, Rect]:
    """Models, plugins and events, one over the other; where there is no room for all, the models
    go first, then the plugins."""
    heights: dict[Place, int] = {}
    plugins = min(plugin_lines + 3, _MOST_PLUGINS) if plugin_lines else 0
    if height >= _MODELS + _LEAST_TABLE + min(plugins, _LEAST_PLUGINS):
        heights["models"] = _MODELS
    room = height - sum(heights.values()) - _LEAST_TABLE
    if plugins and room >= _LEAST_PLUGINS:
        heights["plugins"] = min(plugins, room)
    heights["events"] = height - sum(heights.values())
    places: dict[Place, Rect] = {}
    for name, tall in heights.items():
        places[name] = Rect(x, y, width, tall)
        y += tall
    return places
