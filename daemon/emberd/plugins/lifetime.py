"""What is asked of plugins after they were loaded: to start, check, show figures, stop, close."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from operator import methodcaller
from typing import Any

import msgspec

from emberd.plugins.faults import in_words
from emberd.plugins.offers import close_all
from emberd.plugins.record import PluginRecord
from emberd.telemetry import EventLog
from emberd.wire.snapshot import PluginStats

__all__ = ["Lifetime"]

_FIGURES_S = 0.5
_CLOSE_S = 5.0


class Lifetime:
    """Calls on the plugins' threads, within a time. Nothing of theirs is raised here."""

    def __init__(self, start_s: float, events: EventLog) -> None:
        self._start_s = start_s
        self._events = events
        self._readings: dict[PluginRecord, asyncio.Task[None]] = {}
        self._is_closed = False

    async def call(self, records: Iterable[PluginRecord], hook: str) -> None:
        """Call this hook of all that have it, at the same time."""
        await asyncio.gather(
            *(self._call(record, hook) for record in records if _has(record, hook))
        )

    async def check(self, record: PluginRecord) -> PluginStats:
        """Run its check again, where it came so far; the figures with the check's result."""
        if record.context is None or not _has(record, "emberd_check"):
            return record.stats()
        message = await self._failure_of(record, "emberd_check")
        if message:
            return msgspec.structs.replace(record.stats(), state="check_error", message=message)
        if record.state == "check_error":
            record.message = "Its check passes now; restart the daemon to load it."
        return record.stats()

    async def refuse(self, record: PluginRecord, message: str) -> None:
        """Leave out what was loaded, and close it."""
        made = _objects(record)
        record.failed("load_error", message)
        await self._close_objects(record, made)

    def read_figures(self, records: Iterable[PluginRecord]) -> None:
        """Have the figures read of all that are not still being read."""
        for record in records:
            reading = self._readings.get(record)
            if self._is_closed or not (record.guard.is_active and record.figures.is_worth_reading):
                continue
            if reading is None or reading.done():
                self._readings[record] = asyncio.create_task(_read(record))

    async def close(self, records: Iterable[PluginRecord]) -> None:
        """Close every object, thread and loop. A second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        for reading in self._readings.values():
            reading.cancel()
        await asyncio.gather(*(self._close(record) for record in records))

    async def _call(self, record: PluginRecord, hook: str) -> None:
        if message := await self._failure_of(record, hook):
            record.guard.failed(message)
            self._events.emit(
                "plugin.failed",
                f"The plugin {record.name!r}: {message}",
                level="error",
                plugin=record.name,
            )

    async def _failure_of(self, record: PluginRecord, hook: str) -> str:
        """What goes wrong in this hook, in words; "" where all is well."""
        hooks, context = record.hooks, record.context
        if hooks is None or context is None:
            return ""
        try:
            await record.thread.run(lambda: hooks.call(hook, context=context), self._start_s)
        except TimeoutError:
            return f"{hook} took longer than {self._start_s:g} s (plugins.start_s)."
        except Exception as exc:
            return record.masked(f"{hook}: {in_words(exc)}")
        return ""

    async def _close(self, record: PluginRecord) -> None:
        await self._close_embedders(record)
        others = [
            each
            for hook, offers in record.offers.items()
            if hook != "emberd_embedders"
            for each in offers.values()
        ]
        if others:
            await self._close_objects(record, others)
        record.thread.close()
        await record.loop.close()

    async def _close_embedders(self, record: PluginRecord) -> None:
        for name, embedder in record.offers["emberd_embedders"].items():
            try:
                # On its own loop: its connections belong there.
                await record.loop.run(partial(methodcaller("close"), embedder), _CLOSE_S)
            except Exception as exc:
                self._tell_close(record, f"closing {name}: {in_words(exc)}")

    async def _close_objects(self, record: PluginRecord, objects: list[Any]) -> None:
        with suppress(TimeoutError):
            for failure in await record.thread.run(lambda: close_all(objects), _CLOSE_S):
                self._tell_close(record, failure)

    def _tell_close(self, record: PluginRecord, failure: str) -> None:
        self._events.emit(
            "plugin.failed",
            f"The plugin {record.name!r}: {record.masked(failure)}",
            level="warning",
            plugin=record.name,
        )


def _has(record: PluginRecord, hook: str) -> bool:
    return record.hooks is not None and hook in record.hooks.names


def _objects(record: PluginRecord) -> list[Any]:
    return [each for offers in record.offers.values() for each in offers.values()]


async def _read(record: PluginRecord) -> None:
    try:
        await record.thread.run(record.figures.read, _FIGURES_S)
    except TimeoutError:
        record.guard.failed(f"its statistics took longer than {_FIGURES_S:g} s")
