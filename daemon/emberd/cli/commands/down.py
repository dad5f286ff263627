"""`emberd down`: let the daemon leave."""

from __future__ import annotations

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.printing import print_json
from emberd.cli.process import running_pid, stop
from emberd.cli.starting import refuse_other_socket

__all__ = ["command", "stop_daemon"]


@click.command(cls=Command, name="down")
@click.option("--now", is_flag=True, help="Do not wait for open requests.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def command(app: App, now: bool, as_json: bool) -> None:
    """Let the daemon finish its work and leave.

    It takes no new work, finishes what is open (for at most daemon.drain_s), writes its cache
    down and goes; this waits until it has. Where none runs, this says so.

    \b
    Examples:
      $ emberd down
      $ emberd down --now
    """
    refuse_other_socket(app)
    pid = stop_daemon(app, is_now=now)
    if as_json:
        print_json({"state": "stopped", "was_running": pid is not None, "pid": pid})
    elif pid is None:
        click.echo("emberd is not running")
    else:
        click.echo(f"emberd has stopped (pid {pid})")
    if pid is not None and app.paths.socket.exists():
        app.say(
            "The system still listens and starts it again at the next connection; "
            "`systemctl --user stop emberd.socket` ends that."
        )


def stop_daemon(app: App, *, is_now: bool) -> int | None:
    """Stop the daemon of these folders and wait for its end; its pid, or None where none ran."""
    pid = running_pid(app.paths)
    if pid is not None:
        stop(pid, drain_s=app.settings.daemon.drain_s, is_now=is_now)
    return pid
