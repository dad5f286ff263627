"""`emberd restart`: stop the daemon and start it again."""

from __future__ import annotations

import click

from emberd.cli.commands.down import stop_daemon
from emberd.cli.context import App, Command, pass_app
from emberd.cli.starting import refuse_other_socket, start

__all__ = ["command"]


@click.command(cls=Command, name="restart")
@click.option("--now", is_flag=True, help="Do not wait for open requests.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def command(app: App, now: bool, as_json: bool) -> None:
    """Stop the daemon and start it again.

    Needed after the settings were changed. Clients connect again by themselves.

    \b
    Examples:
      $ emberd restart
      $ emberd config check && emberd restart
    """
    refuse_other_socket(app)
    _ = app.settings  # wrong settings must show before the daemon that still works is stopped
    stop_daemon(app, is_now=now)
    start(app, may_pull=True, as_json=as_json)
