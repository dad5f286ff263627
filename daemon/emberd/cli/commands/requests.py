"""`emberd requests`: the requests of late, with where their time went."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.printing import print_json, table_lines

if TYPE_CHECKING:
    from emberd.wire.insight import RequestRow, RequestRows

__all__ = ["command", "request_lines"]

_STAGES_SHOWN = 3


@click.command(cls=Command, name="requests")
@click.option("--slowest", "kind", flag_value="slowest", help="The 50 slowest of the last hour.")
@click.option("--slow", "kind", flag_value="slow", help="The last 200 over log.slow_ms.")
@click.option("--client", metavar="TEXT", help="Only of clients with this in their names.")
@click.option("--method", metavar="NAME", help="Only of this method.")
@click.option("--failed", is_flag=True, help="Only those that failed.")
@click.option(
    "-n",
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(1, 200),
    help="How many at most.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def command(
    app: App,
    kind: str | None,
    client: str | None,
    method: str | None,
    failed: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List the requests of late.

    Newest first; the daemon keeps the last 200. Those that took longer than log.slow_ms are in the
    log too, under the same number (request=ID).

    \b
    Examples:
      $ emberd requests
      $ emberd requests --slowest --method search
      $ emberd requests --slow --json
    """
    with app.client() as connection:
        found = connection.requests(
            kind or "recent", client=client, method=method, failed=failed, limit=limit
        )
    if as_json:
        print_json(found)
        return
    if kind == "slow" and not found.slow_ms:
        app.say("log.slow_ms is 0 in the settings: no request counts as slow.")
    click.echo("\n".join(request_lines(found)))


def request_lines(found: RequestRows) -> list[str]:
    """A header, and a line a request."""
    rows = [
        [
            str(row.id),
            time.strftime("%H:%M:%S", time.localtime(row.time)),
            row.method,
            row.client or "-",
            f"{row.texts:,}" if row.texts else "-",
            f"{sum(row.hits.values()):,}" if row.texts else "-",
            _ms(row.seconds),
            row.error or _stages(row),
        ]
        for row in found.requests
    ]
    header = ["ID", "TIME", "METHOD", "CLIENT", "TEXTS", "HITS", "MS", "WHERE"]
    return table_lines(header, rows, right="ID TEXTS HITS MS")


def _stages(row: RequestRow) -> str:
    """The stages that took longest, the longest first."""
    stages = row.stages
    named = {
        "load": stages.load,
        "memory": stages.memory,
        **stages.tiers,
        "admission": stages.admission,
        "tokenise": stages.tokenise,
        "queue": stages.queue,
        "compute": stages.compute,
        "reply": stages.reply,
    }
    longest = sorted(named, key=lambda name: named[name], reverse=True)[:_STAGES_SHOWN]
    return ", ".join(f"{name} {_ms(named[name])}" for name in longest if named[name])


def _ms(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:,.0f}" if milliseconds >= 99.5 else f"{milliseconds:.2g}"
