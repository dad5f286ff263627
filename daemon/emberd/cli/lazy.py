"""A click group that knows its commands' names and one-line helps without importing them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import click
from click.shell_completion import CompletionItem

from emberd.cli.command_plugins import CommandPlugin, command_plugins

__all__ = ["LazyGroup"]


class LazyGroup(click.Group):
    """Each command lives in the module of its name below `package`, as the attribute `command`.

    `sections` maps a heading to `{command name: one-line help}`; `--help` is drawn from it and
    from the names of the commands that other packages add.
    """

    def __init__(
        self, *args: Any, package: str, sections: Mapping[str, Mapping[str, str]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.package = package
        self.sections = sections

    @cached_property
    def own(self) -> dict[str, str]:
        """The commands of the sections, with their one-line helps."""
        return {name: text for section in self.sections.values() for name, text in section.items()}

    @cached_property
    def added(self) -> Mapping[str, CommandPlugin]:
        """The commands of other packages. Reads the metadata of every installed package."""
        return command_plugins(self.own)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.own, *sorted(self.added)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.own:
            return self.added[cmd_name].load() if cmd_name in self.added else None
        command = importlib.import_module(f"{self.package}.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101  # a fault of the table, not of a user
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.own and name not in self.added and not name.startswith("-"):
            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f"Did you mean {near[0]!r}?" if near else "`emberd --help` lists them."
            raise click.UsageError(f"No such command {name!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        # click's own would import every command for its help.
        helps = {**self.own, **{name: plugin.summary for name, plugin in self.added.items()}}
        names = [
            CompletionItem(name, help=text)
            for name, text in helps.items()
            if name.startswith(incomplete)
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.list_commands(ctx))
        added = {name: self.added[name].summary for name in sorted(self.added)}
        sections = {**self.sections, "From other packages": added} if added else self.sections
        for heading, commands in sections.items():
            with formatter.section(heading):
                rows = [(name.ljust(width), text) for name, text in commands.items()]
                formatter.write_dl(rows)
