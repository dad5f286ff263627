"""What every command gets: the common options, the folders, the settings and a client."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from emberd.client import Client
    from emberd.config import Settings
    from emberd.paths import Paths

__all__ = ["COMMON_OPTIONS", "App", "Command", "Group", "pass_app"]


@dataclass
class App:
    """One run of the command line."""

    socket: str | None = field(default_factory=lambda: os.environ.get("EMBERD_SOCKET") or None)
    """A path or `tcp://host:port`; None means the socket of this user's daemon."""
    is_quiet: bool = False

    @cached_property
    def paths(self) -> Paths:
        from emberd.paths import Paths  # noqa: PLC0415  # not for `--help`

        return Paths.from_environment()

    @cached_property
    def settings(self) -> Settings:
        from emberd.config import load_settings  # noqa: PLC0415  # not for `--help`

        return load_settings(self.paths.config_file)

    @property
    def address(self) -> str:
        return self.socket or str(self.paths.socket)

    @property
    def is_local(self) -> bool:
        """Whether the daemon asked is the one of this user's own folders."""
        return self.socket is None or self.socket == str(self.paths.socket)

    def client(self, *, autostart: bool = False, **options: Any) -> Client:
        """A client of the daemon that `--socket` names; only this user's own is ever started."""
        from emberd.client import Client  # noqa: PLC0415  # numpy and asyncio: not for `--help`

        if self.address.startswith("tcp://") and "EMBERD_TOKEN" in os.environ:
            options.setdefault("token", os.environ["EMBERD_TOKEN"])
        return Client(
            self.socket, autostart=autostart and self.is_local, name="emberd cli", **options
        )

    def say(self, text: str) -> None:
        """A remark for the person, on stderr, so that stdout stays data; `-q` silences it."""
        if not self.is_quiet:
            click.echo(text, err=True)


def _set_socket(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(App).socket = value


def _set_quiet(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(App).is_quiet = True


COMMON_OPTIONS: list[click.Parameter] = [
    click.Option(
        ["--socket"],
        metavar="ADDRESS",
        expose_value=False,
        callback=_set_socket,
        help="The daemon to ask: a path or tcp://host:port (else EMBERD_SOCKET).",
    ),
    click.Option(
        ["-q", "--quiet"],
        is_flag=True,
        expose_value=False,
        callback=_set_quiet,
        help="No remarks and no progress on stderr.",
    ),
]


class Command(click.Command):
    """A command that takes the common options too: people write them where they think of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params = [*self.params, *COMMON_OPTIONS]


class Group(click.Group):
    """A command with commands of its own (`emberd cache stats`)."""

    command_class = Command


pass_app = click.make_pass_decorator(App, ensure=True)
