"""The plugins of a daemon: built-in ones and those that other packages declare.

Each is loaded, asked, watched and closed by itself: pluggy's own loader stops at the first broken
plugin, and one raising hook ends the whole call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from emberd import __version__
from emberd.config import Settings
from emberd.errors import InvalidRequestError, PluginFailedError, PluginNotFoundError
from emberd.plugins import loader
from emberd.plugins.contracts import CacheTier, Embedder, MetricsExporter, Observer, RateLimiter
from emberd.plugins.faults import in_words
from emberd.plugins.guard import Guard
from emberd.plugins.hooks import PROJECT
from emberd.plugins.lifetime import Lifetime
from emberd.plugins.loader import Found
from emberd.plugins.plugged import Plugged
from emberd.plugins.record import PluginRecord
from emberd.plugins.registration import Registration
from emberd.plugins.rules import Rules, Verdict, verdicts
from emberd.plugins.settings import did_you_mean
from emberd.telemetry import EventLog
from emberd.wire.snapshot import PluginStats, TierStats

__all__ = ["Plugged", "Plugins"]

T = TypeVar("T")

_MEMORY = "memory"


class Plugins:
    """Owned by the event loop's thread.

    `start` fills the lists. What a plugin does wrong ends up in its record, its events and
    `problems`, and nowhere else.
    """

    def __init__(
        self,
        settings: Settings,
        data: Path,
        cache_folder: Path,
        events: EventLog,
        built_in: Mapping[str, object],
        *,
        installed: Sequence[Found] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`installed` and `environment` take the place of what is really there."""
        self._settings = settings
        self._data = data
        self._cache_folder = cache_folder
        self._events = events
        self._built_in = built_in
        self._given = installed
        self._environment = os.environ if environment is None else environment
        self._records: list[PluginRecord] = []
        self._notices: list[str] = []
        self._lifetime = Lifetime(settings.plugins.start_s, events)
        self.tiers: list[CacheTier] = []
        self.limiters: list[Plugged[RateLimiter]] = []
        self.embedders: list[Plugged[Embedder]] = []
        self.observers: list[Plugged[Observer]] = []
        self.exporters: list[Plugged[MetricsExporter]] = []

    async def start(self) -> None:
        """Load all that may be loaded, at the same time. Raises PluginFailedError where one of
        `plugins.required` is not in use then; what was loaded is closed before that."""
        settings = self._settings
        rules = Rules.of(
            settings.plugins, settings.plugin, self._environment, settings.models.embedder
        )
        found = [*self._built_in_ones(), *await self._installed()]
        self._records = [self._record(*decided) for decided in verdicts(found, rules)]
        self._notices += rules.unknown(record.name for record in self._records)
        chosen = [record for record in self._records if record.is_enabled]
        await asyncio.gather(*(self._register(record) for record in chosen))
        await self._refuse_equal_tiers()
        self._tell()
        self._plug()
        await self._check_required()

    async def started(self) -> None:
        """The socket answers."""
        await self._lifetime.call(self._loaded(), "emberd_daemon_started")

    async def stopping(self) -> None:
        """No new work is taken. Takes `plugins.start_s` at most."""
        await self._lifetime.call(self._loaded(), "emberd_daemon_stopping")

    async def close(self) -> None:
        """Close what the plugins registered, and their threads. A second call does nothing."""
        await self._lifetime.close(self._records)

    def tick(self) -> None:
        """Once a second: begin a window, and have the plugins' own figures read."""
        for record in self._loaded():
            if not record.found.is_built_in:
                record.guard.take_latency()
        self._lifetime.read_figures(self._loaded())

    def count_built_in(self, tiers: Sequence[TierStats]) -> None:
        """The cache's own figures are those of the built-in tiers, which nothing wraps."""
        for tier in tiers:
            for record in self._records:
                if record.found.is_built_in and tier.name in record.offers["emberd_cache_tiers"]:
                    record.guard.calls += tier.lookup.count
                    record.guard.errors = tier.errors
                    record.guard.latency = tier.lookup

    def stats(self) -> list[PluginStats]:
        """Every plugin, in the order of their names."""
        return sorted((record.stats() for record in self._records), key=lambda each: each.name)

    def problems(self) -> list[str]:
        """What is wrong and what to do, a sentence or two each."""
        told = [record.problem for record in self._records]
        return [*self._notices, *(problem for problem in told if problem)]

    def info(self, name: str) -> dict[str, Any]:
        """The figures, the settings without secrets, the hooks and the folder of one.

        Raises PluginNotFoundError.
        """
        return self._named(name).info()

    async def enable(self, name: str) -> PluginStats:
        """Bring back what has tripped or was disabled. Raises PluginNotFoundError, and
        InvalidRequestError for one that is not loaded."""
        record = self._named(name)
        if not record.is_loaded:
            raise InvalidRequestError(
                f"The plugin {name!r} is not loaded, and only a restart can load it. "
                f"{record.message}",
                details={"plugin": name, "state": record.state},
            )
        if not record.guard.is_active:
            record.unblock()
            self._events.emit("plugin.enabled", f"{name} is in use again", plugin=name)
        return record.stats()

    async def disable(self, name: str, reason: str) -> PluginStats:
        """Call nothing of it until `enable` or a restart. Raises PluginNotFoundError, and
        InvalidRequestError for a part of the daemon."""
        record = self._named(name)
        if record.found.is_built_in:
            raise InvalidRequestError(
                f"{name!r} is a part of the daemon. Set cache.disk_mib = 0 to do without it.",
                details={"plugin": name},
            )
        if record.is_loaded and record.is_enabled:
            record.block(reason)
            self._events.emit("plugin.disabled", f"{name}: {reason}", plugin=name)
        return record.stats()

    async def check(self, name: str | None) -> list[PluginStats]:
        """Run `emberd_check` again, of one or of all that came so far; a state `check_error` in
        the answer is that check's. Raises PluginNotFoundError."""
        records = self._records if name is None else [self._named(name)]
        checks = [self._lifetime.check(record) for record in records]
        return sorted(await asyncio.gather(*checks), key=lambda each: each.name)

    def _loaded(self) -> list[PluginRecord]:
        return [record for record in self._records if record.is_loaded]

    def _named(self, name: str) -> PluginRecord:
        for record in self._records:
            if record.name == name:
                return record
        names = [record.name for record in self._records]
        raise PluginNotFoundError(
            f"No plugin {name!r}; {did_you_mean(name, names)}", details={"plugin": name}
        )

    def _built_in_ones(self) -> list[Found]:
        return [
            Found(
                name,
                lambda plugin=plugin: plugin,  # type: ignore[misc]
                PROJECT,
                __version__,
                "Comes with the daemon.",
                is_bundled=True,
                is_built_in=True,
            )
            for name, plugin in self._built_in.items()
        ]

    async def _installed(self) -> Sequence[Found]:
        if self._given is not None:
            return self._given
        try:
            return await asyncio.to_thread(loader.installed)
        except Exception as exc:  # somebody else's broken installation
            self._notices.append(f"The installed plugins cannot be listed: {in_words(exc)}.")
            return []

    def _record(self, found: Found, verdict: Verdict) -> PluginRecord:
        def tell(reason: str) -> None:
            message = f"The plugin {found.name!r} has tripped: {record.masked(reason)}"
            self._events.emit("plugin.tripped", message, level="error", plugin=found.name)

        guard = Guard(found.name, errors=self._settings.plugins.errors, on_trip=tell)
        record = PluginRecord(found, verdict, guard)
        return record

    async def _register(self, record: PluginRecord) -> None:
        is_built_in = record.found.is_built_in
        await Registration(
            record,
            section=self._settings.plugin.get(record.name, {}),
            folder=(self._cache_folder if is_built_in else self._data / "plugins") / record.name,
            cache_settings=self._settings.cache,
            models_folder=self._data / "models",
            start_s=self._settings.plugins.start_s,
        ).run()

    async def _refuse_equal_tiers(self) -> None:
        """Hits are counted by a tier's name: of two equal ones the later plugin stays out."""
        owners = {_MEMORY: PROJECT}
        for record in self._loaded():
            for name in record.offers["emberd_cache_tiers"]:
                owner = owners.setdefault(name, record.name)
                if owner != record.name:
                    await self._lifetime.refuse(
                        record, f"Its cache tier is named {name!r}, as that of {owner!r} is."
                    )
                    break

    def _tell(self) -> None:
        for record in self._records:
            stats = record.stats()
            if record.problem:
                self._events.emit(
                    "plugin.failed",
                    record.problem,
                    level="error",
                    plugin=record.name,
                    state=record.state,
                )
            elif record.is_loaded and not record.found.is_built_in:
                what = ", ".join(stats.provides) or "nothing that the daemon calls"
                self._events.emit(
                    "plugin.loaded", f"{record.name} {stats.version}: {what}", plugin=record.name
                )
        for notice in self._notices:
            self._events.emit("plugin.unknown", notice, level="warning")

    def _plug(self) -> None:
        for record in self._loaded():
            self.tiers += record.offers["emberd_cache_tiers"].values()
            self.limiters += _plugged(record, "emberd_rate_limiters")
            self.embedders += _plugged(record, "emberd_embedders", has_loop=True)
            self.observers += _plugged(record, "emberd_observers")
            self.exporters += _plugged(record, "emberd_metrics_exporters")

    async def _check_required(self) -> None:
        for name in self._settings.plugins.required:
            record = next((each for each in self._records if each.name == name), None)
            if record is not None and record.is_loaded:
                continue
            why = f"It is not installed; {did_you_mean(name, [r.name for r in self._records])}"
            await self.close()
            raise PluginFailedError(
                f"The plugin {name!r} is required (plugins.required) and cannot be used. "
                f"{record.message if record is not None else why}",
                details={"plugin": name},
            )


def _plugged(record: PluginRecord, hook: str, *, has_loop: bool = False) -> list[Plugged[Any]]:
    loop = record.loop if has_loop else None
    return [
        Plugged(record.name, each, record.guard, record.thread, loop)
        for each in record.offers[hook].values()
    ]
