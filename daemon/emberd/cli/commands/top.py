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
@click.option("--read-only", is_flag=True, help="No key changes anything.")
@click.option("--web", is_flag=True, help="Show it in a browser of this machine, read-only.")
@click.option(
    "--web-port",
    metavar="PORT",
    type=click.IntRange(min=0, max=65535),
    help="For --web; 0 takes a free one.  [default: 8765]",
)
@click.option("--once", is_flag=True, help="Print one snapshot as JSON (with --json) and end.")
@click.option("--keys", "list_keys", is_flag=True, help="List every action with its keys and end.")
@click.option(
    "--json", "as_json", is_flag=True, help="For --once and --keys, and for the URL of --web."
)
@pass_app
def command(
    app: App,
    is_ascii: bool | None,
    theme: Literal["dark", "light"] | None,
    interval: float | None,
    demo: bool,
    read_only: bool,
    web: bool,
    web_port: int | None,
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
      $ emberd top --web --web-port 9000
      $ emberd top --once --json | jq .cache
    """
    if list_keys:
        _print_keys(app, as_json)
        return 0
    if web and once:
        raise click.UsageError("--web and --once exclude each other.")
    if web_port is not None and not web:
        raise click.UsageError("--web-port is for --web.")
    chosen = app.settings.dashboard
    is_ascii = chosen.ascii if is_ascii is None else is_ascii
    theme, interval = theme or chosen.theme, interval or chosen.interval_s
    if web:
        from emberd_tui.keymap import key_map  # noqa: PLC0415  # not for `--help`
        from emberd_tui.web import WEB_PORT, serve  # noqa: PLC0415

        key_map(chosen.keys)  # what is wrong is said here, and not in the browser
        return serve(
            app.socket,
            port=WEB_PORT if web_port is None else web_port,
            ascii=is_ascii,
            theme=theme,
            interval_s=interval,
            demo=demo,
            keys=chosen.keys,
            tell=lambda url: _tell(url, as_json=as_json),
        )
    if once != as_json:
        raise click.UsageError("--once and --json go together: one snapshot, as JSON.")
    if once:
        with app.client() as client:
            print_json(client.stats())
        return 0
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("The dashboard needs a terminal; `emberd stat` prints figures.")
    import emberd_tui  # noqa: PLC0415  # textual: not for `--help`

    return emberd_tui.run(
        app.socket,
        ascii=is_ascii,
        theme=theme,
        interval_s=interval,
        demo=demo,
        keys=chosen.keys,
        read_only=read_only,
    )


def _tell(url: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"url": url})
    else:
        click.echo(f"The dashboard is at {url} (read-only; Ctrl-C ends it).")
    sys.stdout.flush()  # it may be a pipe, and there is nothing more to come


def _print_keys(app: App, as_json: bool) -> None:
    from emberd_tui.keymap import action_rows, key_map  # noqa: PLC0415  # not for `--help`

    rows = action_rows(key_map(app.settings.dashboard.keys))
    if as_json:
        print_json([{**row._asdict(), "screens": list(row.screens)} for row in rows])
        return
    cells = [[row.action, " ".join(row.keys), row.meaning, row.where] for row in rows]
    for line in table_lines(["ACTION", "KEYS", "MEANING", "SCREENS"], cells):
        click.echo(line)
