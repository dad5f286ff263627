"""`emberd search`: the documents of a collection that answer a question."""

from __future__ import annotations

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.filters import parse_filter
from emberd.cli.hit_lines import hit_lines, terminal_width
from emberd.cli.options import filter_option
from emberd.cli.printing import print_json

__all__ = ["command"]


@click.command(cls=Command, name="search")
@click.argument("collection")
@click.argument("query")
@click.option(
    "-k",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1_000),
    help="How many hits, at most.",
)
@filter_option
@click.option("--hybrid", is_flag=True, help="Count the query's very words too (full-text search).")
@click.option("--min-score", type=float, metavar="SCORE", help="Only hits that score as much.")
@click.option("--full", is_flag=True, help="Print each hit's whole text.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list of hits.")
@pass_app
def command(
    app: App,
    collection: str,
    query: str,
    k: int,
    filter_text: str | None,
    hybrid: bool,
    min_score: float | None,
    full: bool,
    as_json: bool,
) -> None:
    """Find the documents of a collection that answer a question.

    Prints the best first: rank, score (the cosine of query and text, 1 at most), path and line,
    and the part of the text that is nearest to the query's words. A filter is about metadata:
    = != < <= > >= compare, ~ and !~ look for a part of a text, in (a, b) for one of several,
    `exists` for anything at all; and, or, not and parentheses join.

    \b
    Examples:
      $ emberd search docs "how do I make it faster?"
      $ emberd search docs "retry" -k 3 --filter 'path ~ "guide" and lang = "markdown"'
      $ emberd search code "parse a date" --hybrid --filter 'lang in (python, go)'
      $ emberd search docs "backup" --json | jq -r '.[].metadata.path'
    """
    where = parse_filter(filter_text) if filter_text is not None else None
    with app.client(autostart=True) as client:
        hits = client.search(collection, query, k, where=where, hybrid=hybrid, min_score=min_score)
    if as_json:
        print_json([{"rank": rank, **_as_map(hit)} for rank, hit in enumerate(hits, start=1)])
        return
    width = terminal_width()
    for rank, hit in enumerate(hits, start=1):
        click.echo("\n".join([*hit_lines(rank, hit, query, width=width, is_full=full), ""]))
    if not hits:
        app.say("No hits.")


def _as_map(hit: object) -> dict[str, object]:
    import msgspec  # noqa: PLC0415  # not for `--help`

    known: dict[str, object] = msgspec.structs.asdict(hit)  # type: ignore[arg-type]
    return {name: value for name, value in known.items() if value is not None}
