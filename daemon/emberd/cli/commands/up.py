"""`emberd up`: start the daemon."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.process import running_pid
from emberd.cli.pulling import ensure_model
from emberd.cli.starting import refuse_other_socket, start
from emberd.errors import DaemonAlreadyRunningError

__all__ = ["command"]


@click.command(cls=Command, name="up")
@click.option("--foreground", is_flag=True, help="Stay in this terminal and log to it.")
@click.option("--no-pull", is_flag=True, help="Do not fetch the default model first.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def command(app: App, foreground: bool, no_pull: bool, as_json: bool) -> None:
    """Start the daemon and wait until it is ready.

    The default model is fetched first when it is not in the store yet. Where the daemon already
    runs, this says so and changes nothing. Programs that use emberd's client need no `up`: the
    client starts the daemon.

    \b
    Examples:
      $ emberd up
      $ emberd up --foreground
    """
    refuse_other_socket(app)
    if foreground:
        _become_the_daemon(app, may_pull=not no_pull)
    start(app, may_pull=not no_pull, as_json=as_json)


def _become_the_daemon(app: App, *, may_pull: bool) -> NoReturn:
    """In our place, not as a child: Ctrl-C and the exit code are then the daemon's own."""
    if pid := running_pid(app.paths):
        raise DaemonAlreadyRunningError(
            f"A daemon runs already (pid {pid}). `emberd down` stops it, `emberd logs -f` shows "
            "what it does."
        )
    if may_pull:
        ensure_model(app)
    words = [sys.executable, "-m", "emberd.server", "--foreground"]
    os.execv(sys.executable, words)  # noqa: S606
