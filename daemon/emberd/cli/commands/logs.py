"""`emberd logs`: the end of the daemon's log, and what is added to it."""

from __future__ import annotations

import time

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.log_tail import LogFollower
from emberd.errors import StorageError

__all__ = ["command"]

_LOOK_S = 0.25


@click.command(cls=Command, name="logs")
@click.option("-f", "--follow", is_flag=True, help="Go on printing what is added, until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    default=50,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many of the last lines to print first.",
)
@pass_app
def command(app: App, follow: bool, lines: int) -> None:
    """Show the daemon's log.

    This is the file that a daemon in the background writes. Under systemd it logs to the journal:
    journalctl --user -u emberd.

    \b
    Examples:
      $ emberd logs
      $ emberd logs -f -n 0
    """
    file = app.paths.log_file
    if not file.exists() and not follow:
        raise StorageError(
            f"There is no log at {file}. `emberd up` starts a daemon that writes it.",
            details={"path": str(file)},
        )
    with LogFollower(file, lines=lines) as log:
        _print(log.read())
        while follow:
            # No portable way to be told of a change without a library: look four times a second.
            time.sleep(_LOOK_S)
            _print(log.read())


def _print(found: bytes) -> None:
    if found:
        click.echo(found, nl=False)
