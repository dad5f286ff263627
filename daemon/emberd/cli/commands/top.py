"""`emberd top`: the dashboard."""

from __future__ import annotations

import sys
from typing import Literal

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.printing import print_json

__all__ = ["command"]


@click.command(cls=Command, name="top")
@click.option("--ascii", "is_ascii", is_flag=True, help="Draw with ASCII characters alone.")
@click.option(
    "--theme",
    type=click.Choice(["dark", "light"]),
    default="dark",
    show_default=True,
    help="The background that the terminal has.",
)
@click.option(
    "--interval",
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=0.1, max=60),
    help="Time between two snapshots.",
)
@click.option("--demo", is_flag=True, help="Made-up figures, without a daemon.")
@click.option("--once", is_flag=True, help="Print one snapshot as JSON (with --json) and end.")
@click.option("--json", "as_json", is_flag=True, help="For --once.")
@pass_app
def command(
    app: App,
    is_ascii: bool,
    theme: Literal["dark", "light"],
    interval: float,
    demo: bool,
    once: bool,
    as_json: bool,
) -> int:
    """Open the dashboard.

    What the daemon does, as it does it: rates, latencies, the cache, the queue, the clients and
    the log. Press ? for the keys, q to leave. It starts no daemon unless you ask it to.

    \b
    Examples:
      $ emberd top
      $ emberd top --ascii
      $ NO_COLOR=1 emberd top --demo
      $ emberd top --once --json | jq .cache
    """
    if once != as_json:
        raise click.UsageError("--once and --json go together: one snapshot, as JSON.")
    if once:
        with app.client() as client:
            print_json(client.stats())
        return 0
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("The dashboard needs a terminal; `emberd stat` prints figures.")
    import emberd_tui  # noqa: PLC0415  # textual: not for `--help`

    return emberd_tui.run(app.socket, ascii=is_ascii, theme=theme, interval_s=interval, demo=demo)
