"""`emberd stat`: one line of figures a second."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.printing import print_json
from emberd.cli.stat_line import HEADER, stat_line

if TYPE_CHECKING:
    from emberd.wire.snapshot import Snapshot

__all__ = ["command"]

_HEADER_EVERY = 20


@click.command(cls=Command, name="stat")
@click.option("--once", is_flag=True, help="One line, of the daemon's latest snapshot.")
@click.option(
    "--interval",
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=0.1, max=3600),
    help="Time between two lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Whole snapshots, one JSON object a line.")
@pass_app
def command(app: App, once: bool, interval: float, as_json: bool) -> None:
    """Print one line of figures a second.

    texts/s received, the share of them found in the cache (hit%), computed by the model, its
    tokens/s, the latency of embed requests, texts waiting, how busy the device is, connected
    clients, and the health. A dash means that nothing happened.

    \b
    Examples:
      $ emberd stat
      $ emberd stat --once --json
      $ emberd stat --interval 10 --json >> figures.ndjson
    """
    with app.client() as client:
        snapshots = [client.stats()] if once else client.subscribe(interval)
        if as_json:
            for snapshot in snapshots:
                print_json(snapshot)
        else:
            _print_lines(snapshots)


def _print_lines(snapshots: Iterable[Snapshot]) -> None:
    for number, snapshot in zip(itertools.count(), snapshots, strict=False):
        if number % _HEADER_EVERY == 0:
            click.echo(click.style(HEADER, bold=True))
        click.echo(stat_line(snapshot))
