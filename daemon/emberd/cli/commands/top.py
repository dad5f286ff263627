"""`emberd top`: the dashboard."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.printing import print_json, table_lines

if TYPE_CHECKING:
    from emberd.wire.snapshot import Snapshot
    from emberd_tui.recording import Recording

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
@click.option(
    "--record",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Record from the start; the file must not exist.",
)
@click.option(
    "--replay",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Play a recording, without a daemon.",
)
@click.option(
    "--at",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    help="For --replay: the place to begin at, or the snapshot to print.",
)
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
    record: Path | None,
    replay: Path | None,
    at: float | None,
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

    r starts and ends a recording. A recording holds what the screens showed: names of clients,
    words that were typed, lines of the log. It is a file that you alone can read.

    \b
    Examples:
      $ emberd top
      $ emberd top --ascii
      $ NO_COLOR=1 emberd top --demo
      $ emberd top --keys
      $ emberd top --web --web-port 9000
      $ emberd top --record slow.emberd-recording
      $ emberd top --replay slow.emberd-recording --at 90
      $ emberd top --once --json | jq .cache
    """
    if list_keys:
        _print_keys(app, as_json)
        return 0
    _check_web(web=web, web_port=web_port, has_other=bool(once or record or replay))
    if record is not None and (once or read_only):
        raise click.UsageError("--record writes a file: leave out --once and --read-only.")
    _check_replay(app, demo=demo, record=record, replay=replay, at=at)
    look = _look(app, is_ascii, theme, interval, demo=demo)
    if web:
        return _serve(app, look, web_port, as_json=as_json)
    if once != as_json:
        raise click.UsageError("--once and --json go together: one snapshot, as JSON.")
    recording = _recording(replay)
    if once:
        print_json(_snapshot(app, recording, at))
        return 0
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("The dashboard needs a terminal; `emberd stat` prints figures.")
    import emberd_tui  # noqa: PLC0415  # textual: not for `--help`

    return emberd_tui.run(
        app.socket,
        **look,
        read_only=read_only,
        record=record,
        replay=recording,
        at_s=at or 0.0,
    )


class _Look(TypedDict):
    """How a dashboard is drawn, wherever that is."""

    ascii: bool
    theme: Literal["dark", "light"]
    interval_s: float
    demo: bool
    keys: dict[str, str | list[str]]


def _look(
    app: App,
    is_ascii: bool | None,
    theme: Literal["dark", "light"] | None,
    interval: float | None,
    *,
    demo: bool,
) -> _Look:
    """What was asked for, else what the settings say."""
    chosen = app.settings.dashboard
    return _Look(
        ascii=chosen.ascii if is_ascii is None else is_ascii,
        theme=theme or chosen.theme,
        interval_s=interval or chosen.interval_s,
        demo=demo,
        keys=chosen.keys,
    )


def _serve(app: App, look: _Look, port: int | None, *, as_json: bool) -> int:
    from emberd_tui.keymap import key_map  # noqa: PLC0415  # not for `--help`
    from emberd_tui.web import WEB_PORT, serve  # noqa: PLC0415

    key_map(look["keys"])  # what is wrong is said here, and not in the browser
    return serve(
        app.socket,
        port=WEB_PORT if port is None else port,
        tell=lambda url: _tell(url, as_json=as_json),
        **look,
    )


def _check_web(*, web: bool, web_port: int | None, has_other: bool) -> None:
    if web and has_other:
        raise click.UsageError("--web shows a daemon: leave out --once, --record and --replay.")
    if web_port is not None and not web:
        raise click.UsageError("--web-port is for --web.")


def _check_replay(
    app: App, *, demo: bool, record: Path | None, replay: Path | None, at: float | None
) -> None:
    if replay is None:
        if at is not None:
            raise click.UsageError("--at is a place in a recording: it needs --replay FILE.")
        return
    if app.socket != (os.environ.get("EMBERD_SOCKET") or None):
        raise click.UsageError("--replay asks no daemon: leave out --socket.")
    if demo or record is not None:
        raise click.UsageError("--replay plays a file: leave out --demo and --record.")


def _snapshot(app: App, recording: Recording | None, at: float | None) -> Snapshot:
    if recording is not None:
        from emberd_tui.replay import snapshot_at  # noqa: PLC0415  # not for `--help`

        if recording.note:
            app.say(recording.note)
        return snapshot_at(recording, at)
    with app.client() as client:
        return client.stats()


def _recording(path: Path | None) -> Recording | None:
    if path is None:
        return None
    from emberd_tui.recording import read_recording  # noqa: PLC0415  # not for `--help`

    return read_recording(path)


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
