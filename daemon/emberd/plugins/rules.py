"""Which plugins may be loaded: the settings and the variable EMBERD_PLUGINS decide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from emberd.config import PluginSettings
from emberd.plugins.loader import Found
from emberd.plugins.settings import did_you_mean

__all__ = ["VARIABLE", "Rules", "State", "Verdict", "verdicts"]

VARIABLE = "EMBERD_PLUGINS"

State = Literal[
    "off", "blocked", "load_error", "settings_error", "check_error", "enabled", "tripped"
]

# Names are folders and keys of the settings file, too.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`enabled` where the plugin is to be loaded, else why it is not."""

    state: State
    message: str = ""


_LOAD = Verdict("enabled")


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may be loaded. Denying is stronger than allowing."""

    allow: tuple[str, ...] | None
    """Only these, in this order; None means all."""
    allow_source: str
    deny: Mapping[str, str]
    """Name -> what denied it."""
    sections: Mapping[str, str]
    """Plugins that have settings, or that a setting names -> which one."""
    required: frozenset[str]

    @classmethod
    def of(
        cls,
        settings: PluginSettings,
        sections: Iterable[str],
        environment: Mapping[str, str],
        embedder: str = "",
    ) -> Rules:
        """`EMBERD_PLUGINS="redis,-limits"`: its names take the place of `plugins.allow`, those
        with a minus are denied, and an empty list allows none."""
        allow: tuple[str, ...] | None = tuple(settings.allow) or None
        source = "plugins.allow"
        deny = dict.fromkeys(settings.deny, "plugins.deny")
        if (variable := environment.get(VARIABLE)) is not None:
            words = [word.strip() for word in variable.split(",") if word.strip()]
            names = tuple(word for word in words if not word.startswith("-"))
            denied = (word[1:].strip() for word in words if word.startswith("-"))
            deny |= dict.fromkeys(denied, VARIABLE)
            if names or not words:
                allow, source = names, VARIABLE
        asked = {embedder: "models.embedder"} if embedder else {}
        asked |= {name: f"[plugin.{name}] of the settings" for name in sections}
        return cls(allow, source, deny, asked, frozenset(settings.required))

    def unknown(self, names: Iterable[str]) -> list[str]:
        """A sentence for each name that is asked for and that no plugin has."""
        known = set(names)
        asked = {**self.sections}
        asked |= dict.fromkeys(self.allow or (), self.allow_source)
        return [
            f"No plugin {name!r} is installed, which {source} names; {did_you_mean(name, known)}"
            for name, source in sorted(asked.items())
            if name not in known
        ]


def verdicts(found: Sequence[Found], rules: Rules) -> list[tuple[Found, Verdict]]:
    """Each plugin with what is to become of it, in the order in which they are loaded."""
    order = {name: place for place, name in enumerate(rules.allow or ())}
    first: dict[str, Found] = {}
    decided = []
    for plugin in sorted(
        found, key=lambda each: (not each.is_built_in, order.get(each.name, len(order)))
    ):
        twin = first.setdefault(plugin.name, plugin)
        decided.append(
            (plugin, _verdict(plugin, rules) if twin is plugin else _is_twin(twin, plugin))
        )
    return decided


def _verdict(plugin: Found, rules: Rules) -> Verdict:
    name = plugin.name
    if plugin.is_built_in:
        return _LOAD
    if not _NAME.fullmatch(name):
        return Verdict(
            "load_error",
            f"{name!r} is no name for a plugin: its author must rename the entry point, with "
            "letters, digits, '-', '_' and '.' only.",
        )
    if name in rules.deny:
        return Verdict("blocked", f"Denied by {rules.deny[name]}; take it out there and restart.")
    if rules.allow is not None and name not in rules.allow:
        return Verdict("blocked", f"Not in {rules.allow_source}; add it there and restart.")
    if plugin.is_bundled and name not in {*(rules.allow or ()), *rules.sections, *rules.required}:
        return Verdict("off", f"Not in use; add [plugin.{name}] to the settings and restart.")
    return _LOAD


def _is_twin(first: Found, second: Found) -> Verdict:
    return Verdict(
        "load_error",
        f"Both {first.source} and {second.source} offer a plugin named {second.name!r}, and the "
        f"one of {first.source} goes first. Uninstall one of them and restart.",
    )
