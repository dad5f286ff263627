"""One plugin as the daemon knows it: its state, its objects, its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from operator import methodcaller
from typing import Any

import msgspec

from emberd.plugins.figures import Figures
from emberd.plugins.guard import Guard
from emberd.plugins.hooks import PluginContext
from emberd.plugins.loader import Found
from emberd.plugins.offers import KINDS, Hooks, Kind
from emberd.plugins.rules import State, Verdict
from emberd.plugins.runner import PluginLoop, PluginThread
from emberd.plugins.secret import without_secrets
from emberd.wire.snapshot import PluginStats

__all__ = ["PluginRecord"]

_REMEDIES: dict[State, str] = {
    "load_error": "`emberd logs` says more; plugins.deny does without it.",
    "settings_error": "`emberd config path` names the file; restart after that.",
    "check_error": "`emberd plugins check {name}` tries again.",
}


class PluginRecord:
    """Owned by the event loop's thread."""

    def __init__(self, found: Found, verdict: Verdict, guard: Guard) -> None:
        self.found = found
        self.name = found.name
        self.guard = guard
        self.thread = PluginThread(found.name)
        self.loop = PluginLoop(found.name, guard.failed)
        self.state: State = verdict.state
        self.message = verdict.message
        self.hooks: Hooks | None = None
        self.context: PluginContext | None = None
        self.offers: dict[str, dict[str, Any]] = {kind.hook: {} for kind in KINDS}
        """By hook, then by name."""
        self.figures = Figures(guard, None)
        self.is_loaded = False
        """All of its hooks were called, and all that they returned is right."""
        self._provides: list[str] = []
        self._shown: Mapping[str, Any] = {}
        self._secrets: Sequence[str] = ()

    @property
    def is_enabled(self) -> bool:
        """Loaded, and neither failed nor blocked; it may be tripped."""
        return self.state == "enabled"

    @property
    def problem(self) -> str:
        """What is wrong and what to do, for people; "" where all is well."""
        if self.state in _REMEDIES:
            remedy = _REMEDIES[self.state].format(name=self.name)
            return f"The plugin {self.name!r} is left out: {_sentence(self.message)} {remedy}"
        if self.is_enabled and self.guard.is_tripped:
            return f"The plugin {self.name!r} has tripped: {self._message()}"
        return ""

    def configured(
        self, context: PluginContext, shown: Mapping[str, Any], secrets: Sequence[str]
    ) -> None:
        """Its settings are right; `shown` is what may be shown of them."""
        self.context = context
        self._shown = shown
        self._secrets = secrets

    def offered(self, kind: Kind, objects: dict[str, Any]) -> None:
        """Its hook returned these objects, and they fit."""
        self.offers[kind.hook] = objects
        self._provides += [f"{kind.words} {name}".rstrip() for name in objects]

    def loaded(self) -> None:
        """All went well; its figures can be read from here on."""
        embedders = self.offers["emberd_embedders"]
        self.figures = Figures(self.guard, self.loop if embedders else None)
        for source in self.offers["emberd_statistics"].values():
            self.figures.add("", partial(methodcaller("statistics"), source))
        for name, each in (*self.offers["emberd_rate_limiters"].items(), *embedders.items()):
            self.figures.add(f"{name}.", partial(methodcaller("stats"), each))
        self.is_loaded = True

    def failed(self, state: State, message: str) -> None:
        """It stays out, with all that it offered."""
        self.state, self.message = state, self.masked(message)
        self.offers = {kind.hook: {} for kind in KINDS}
        self._provides = []
        self.is_loaded = False
        self.guard.disable()

    def block(self, reason: str) -> None:
        """Not called any more, until `unblock`."""
        self.state = "blocked"
        self.message = f"{reason}; `emberd plugins enable {self.name}` brings it back."
        self.guard.disable()

    def unblock(self) -> None:
        """Called again, with its errors forgotten."""
        self.state, self.message = "enabled", ""
        self.guard.reset()

    def masked(self, text: str) -> str:
        """The text without this plugin's secrets."""
        return without_secrets(text, self._secrets)

    def stats(self) -> PluginStats:
        """Its part of the snapshot."""
        guard = self.guard
        return PluginStats(
            name=self.name,
            version=self.found.version,
            source=self.found.source,
            summary=self.found.summary,
            state="tripped" if self.is_enabled and guard.is_tripped else self.state,
            message=self._message(),
            provides=self._provides,
            calls=guard.calls,
            errors=guard.errors,
            trips=guard.trips,
            dropped=guard.dropped_records,
            busy_s=guard.busy_s,
            latency=guard.latency,
            statistics=self.figures.newest,
        )

    def info(self) -> dict[str, Any]:
        """The figures, and what only its author and its user ask for."""
        context = self.context
        return {
            **msgspec.structs.asdict(self.stats()),
            "latency": msgspec.structs.asdict(self.guard.latency),
            "last_error": self.masked(self.guard.message),
            "settings": dict(self._shown),
            "hooks": self.hooks.names if self.hooks is not None else [],
            "folder": str(context.folder) if context is not None else "",
        }

    def _message(self) -> str:
        if not self.is_enabled:
            return self.message
        if self.guard.is_tripped:
            reason = self.masked(self.guard.tripped_by)
            return f"{reason}. `emberd plugins enable {self.name}` brings it back."
        last = self.masked(self.guard.message)
        return self.message or (f"The last error: {last}" if last else "")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
