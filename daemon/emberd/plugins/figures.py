"""What a plugin says of itself, once a second: read on its thread, and believed within bounds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from emberd.errors import PluginFailedError
from emberd.plugins.faults import in_words
from emberd.plugins.guard import Guard
from emberd.plugins.runner import PluginLoop

__all__ = ["Figures", "Statistics"]

Statistics = dict[str, int | float | str]

_MOST = 64
_LONGEST = 200
_LEAKED_TASKS = 100
_LEAK_READINGS = 3


class Figures:
    """The newest figures. `read` runs on the plugin's thread; `newest` may be read anywhere."""

    def __init__(self, guard: Guard, loop: PluginLoop | None) -> None:
        self.newest: Statistics = {}
        self._guard = guard
        self._loop = loop
        self._sources: list[tuple[str, Callable[[], Any]]] = []
        self._leak_readings = 0

    @property
    def is_worth_reading(self) -> bool:
        return bool(self._sources) or self._loop is not None

    def add(self, prefix: str, source: Callable[[], Any]) -> None:
        """Read `source` too; its keys get the prefix."""
        self._sources.append((prefix, source))

    def read(self) -> None:
        """Ask every source, and count leaked tasks. What goes wrong is the guard's to count."""
        try:
            found: Statistics = {}
            for prefix, source in self._sources:
                found |= {prefix + key: value for key, value in _clean(source()).items()}
            self.newest = dict(list(found.items())[:_MOST])
        except BaseException as exc:
            self._guard.failed(f"reading its statistics: {in_words(exc)}")
        if self._loop is not None:
            self._count_leaks(self._loop.leaked_tasks)

    def _count_leaks(self, leaked: int) -> None:
        self._leak_readings = self._leak_readings + 1 if leaked > _LEAKED_TASKS else 0
        if self._leak_readings >= _LEAK_READINGS:
            self._leak_readings = 0
            self._guard.failed(
                f"it leaks tasks: {leaked} outlive the calls that began them. Its author must "
                "await or cancel them"
            )


def _clean(answer: Any) -> Statistics:
    """What can be shown: finite numbers and short strings by name."""
    if not isinstance(answer, Mapping):
        raise PluginFailedError(f"expected a mapping, got {type(answer).__name__}")
    return {str(key)[:_LONGEST]: _shortened(value) for key, value in answer.items() if _fits(value)}


def _fits(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _shortened(value: Any) -> int | float | str:
    if isinstance(value, str):
        return value[:_LONGEST]
    if isinstance(value, float):
        return float(value)
    # msgpack has integers of 64 bits; a subclass may pack as something else.
    return max(-(1 << 63), min(int(value), (1 << 63) - 1))
