"""Commands that other packages add: entry points of the group `emberd.commands`.

The entry point's name is the command's name and its object a `click.Command` (groups are ones
too). `click.pass_obj` gives it this run's `App`, whose `client()` asks the daemon that `--socket`
names. Names are read from the packages' metadata; nothing is imported before its command runs.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from emberd.errors import PluginFailedError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "CommandPlugin", "command_plugins"]

GROUP = "emberd.commands"


@dataclass(frozen=True, slots=True)
class CommandPlugin:
    """A command that is not imported yet."""

    name: str
    package: str
    """The distribution that it came with, and its version."""
    _entry: EntryPoint

    @property
    def summary(self) -> str:
        """For the list of commands."""
        return f"From {self.package}."

    def load(self) -> click.Command:
        """Import it. Raises PluginFailedError for whatever goes wrong with that."""
        try:
            command = self._entry.load()
        except KeyboardInterrupt:
            raise
        except BaseException as exc:
            raise self._failed(f"cannot be loaded: {type(exc).__name__}: {exc}") from exc
        if not isinstance(command, click.Command):
            raise self._failed(f"is a {type(command).__name__} and no click.Command")
        return command

    def _failed(self, why: str) -> PluginFailedError:
        return PluginFailedError(
            f"The command {self.name!r} of {self.package} {why}. Update or remove that package."
        )


def command_plugins(taken: Container[str]) -> dict[str, CommandPlugin]:
    """The installed ones by name, sorted; a name of `taken` stays emberd's own, and of two
    packages with one name the first in the alphabet has it."""
    import importlib.metadata  # noqa: PLC0415  # 20 ms, where a command is not one of our own

    entries = importlib.metadata.entry_points(group=GROUP)
    found = [
        CommandPlugin(entry.name, f"{entry.dist.name} {entry.dist.version}", entry)
        for entry in entries
        if entry.dist is not None and entry.name not in taken
    ]
    found.sort(key=lambda plugin: (plugin.name, plugin.package))
    return {plugin.name: plugin for plugin in reversed(found)}
