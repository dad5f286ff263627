"""`emberd top`: the dashboard."""

from __future__ import annotations

import sys
from typing import Literal

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.printing import print_json, table_lines

__all__ = ["command"]


@click.command(cls=Command, name="top")
@click.option(
    "--ascii/--no-ascii",
    "is_ascii",
    default=None,
    help="Draw with ASCII characters alone. [default: dashboard.ascii]",
)
@click.option(
    "--theme",
    type=click.Choice(["dark", "light"]),
    help="The background that the terminal has. [default: dashboard.theme]",
)
@click.option(
    "--interval",
    metavar="SECONDS",
    type=click.FloatRange(min=0.1, max=60),
    help="Time between two snapshots. [default: dashboard.interval_s]",
)
@click.option("--demo", is_flag=True, help="Made-up figures, without a daemon.")
@click.option("--once", is_flag=True, help="Print one snapshot as JSON (with --json) and end.")
@click.option("--keys", "list_keys", is_flag=True, help="List every action with its keys and end.")
@click.option("--json", "as_json", is_flag=True, help="For --once and --keys.")
@pass_app
def command(
    app: App,
    is_ascii: bool | None,
    theme: Literal["dark", "light"] | None,
    interval: float | None,
    demo: bool,
    once: bool,
    list_keys: bool,
    as_json: bool,
) -> int:
    """Open the dashboard.

    What the daemon does, as it does it: rates, latencies, the cache, the queue, the clients and
    the log. Press ? for the keys, q to leave. It starts no daemon unless you ask it to. Keys, the
    theme and more are settings: the section [dashboard], with [dashboard.keys].

    \b
    Examples:
      $ emberd top
      $ emberd top --ascii
      $ NO_COLOR=1 emberd top --demo
      $ emberd top --keys
      $ emberd top --once --json | jq .cache
    """
    if list_keys:
        _print_keys(app, as_json)
        return 0
    if once != as_json:
        raise click.UsageError("--once and --json go together: one snapshot, as JSON.")
    if once:
        with app.client() as client:
            print_json(client.stats())
        return 0
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("The dashboard needs a terminal; `emberd stat` prints figures.")
    import emberd_tui  # noqa: PLC0415  # textual: not for `--help`

    chosen = app.settings.dashboard
    return emberd_tui.run(
        app.socket,
        ascii=chosen.ascii if is_ascii is None else is_ascii,
        theme=theme or chosen.theme,
        interval_s=interval or chosen.interval_s,
        demo=demo,
        keys=chosen.keys,
    )


def _print_keys(app: App, as_json: bool) -> None:
    from emberd_tui.keymap import action_rows, key_map  # noqa: PLC0415  # not for `--help`

    rows = action_rows(key_map(app.settings.dashboard.keys))
    if as_json:
        print_json([{**row._asdict(), "screens": list(row.screens)} for row in rows])
        return
    cells = [[row.action, " ".join(row.keys), row.meaning, row.where] for row in rows]
    for line in table_lines(["ACTION", "KEYS", "MEANING", "SCREENS"], cells):
        click.echo(line)
