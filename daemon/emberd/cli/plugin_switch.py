"""Which lines of the settings file let a plugin in or keep it out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from emberd.cli.settings_edit import Change
from emberd.errors import InvalidConfigError

__all__ = ["BUILT_IN", "changes_to_disable", "changes_to_enable"]

BUILT_IN = "lmdb"

_SECTION = "plugins"


def changes_to_enable(values: Mapping[str, Any], name: str, *, is_bundled: bool) -> list[Change]:
    """What the file, whose values these are, needs; nothing where the plugin is let in already."""
    plugins = values.get(_SECTION, {})
    allow, deny = list(plugins.get("allow", [])), list(plugins.get("deny", []))
    changes = []
    if name in deny:
        changes.append(Change(_SECTION, "deny", [other for other in deny if other != name]))
    if allow and name not in allow:
        changes.append(Change(_SECTION, "allow", [*allow, name]))
    is_asked_for = name in allow or name in plugins.get("required", [])
    if is_bundled and not (allow or is_asked_for or name in values.get("plugin", {})):
        changes.append(Change(f"plugin.{name}"))
    return changes


def changes_to_disable(values: Mapping[str, Any], name: str) -> list[Change]:
    """What the file needs. Raises InvalidConfigError for a plugin that the daemon requires."""
    plugins = values.get(_SECTION, {})
    if name in plugins.get("required", []):
        raise InvalidConfigError(
            f"plugins.required names {name!r}: the daemon would not start without it. Take it out "
            "there first.",
            details={"field": "plugins.required"},
        )
    deny = list(plugins.get("deny", []))
    return [] if name in deny else [Change(_SECTION, "deny", [*deny, name])]
