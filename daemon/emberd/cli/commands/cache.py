"""`emberd cache`: look at the cache, look a text up in it, or clear it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from emberd.cli.context import App, Group, pass_app
from emberd.cli.options import model_option
from emberd.cli.printing import (
    duration,
    pair_lines,
    percent,
    plural,
    print_json,
    size,
    table_lines,
)

if TYPE_CHECKING:
    from emberd.wire.insight import CacheInspection, TopTexts
    from emberd.wire.snapshot import CacheStats

__all__ = ["command", "inspection_lines", "stats_lines", "top_lines"]


@click.group(cls=Group, name="cache")
def command() -> None:
    """Look at the cache, look a text up in it, or clear it.

    \b
    Examples:
      $ emberd cache stats
      $ emberd cache inspect "hello, world"
      $ emberd cache top
      $ emberd cache clear --namespace default
    """


@command.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def stats(app: App, as_json: bool) -> None:
    """Print what each tier and namespace holds.

    \b
    Examples:
      $ emberd cache stats
      $ emberd cache stats --json
    """
    with app.client() as client:
        found = client.cache_stats()
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(stats_lines(found)))


def stats_lines(stats: CacheStats) -> list[str]:
    """Tiers in the order they are asked, then the namespaces, then what waits to be written."""
    tiers = [
        [
            tier.name,
            tier.state,
            f"{tier.entries:,}",
            size(tier.size_bytes),
            size(tier.budget_bytes),
            f"{tier.hits:,}",
            _ratio(tier.hits, tier.misses),
            f"{tier.evictions:,}",
        ]
        for tier in stats.tiers
    ]
    header = ["TIER", "STATE", "ENTRIES", "SIZE", "BUDGET", "HITS", "HIT%", "EVICTED"]
    lines = table_lines(header, tiers, right="ENTRIES SIZE BUDGET HITS HIT% EVICTED")
    lines += [f"  {tier.name}: {tier.message}" for tier in stats.tiers if tier.message]
    spaces = [
        [
            space.name,
            f"{space.entries:,}",
            size(space.size_bytes),
            f"{space.hits:,}",
            _ratio(space.hits, space.misses),
        ]
        for space in stats.namespaces
    ]
    if spaces:
        header = ["NAMESPACE", "ENTRIES", "SIZE", "HITS", "HIT%"]
        lines += ["", *table_lines(header, spaces, right="ENTRIES SIZE HITS HIT%")]
    behind = stats.write_behind
    lost = f", {behind.dropped:,} dropped" if behind.dropped else ""
    return [*lines, "", f"{behind.written:,} written, {behind.queued:,} waiting{lost}"]


def _ratio(hits: int, misses: int) -> str:
    return percent(hits / (hits + misses)) if hits + misses else "-"


@command.command()
@click.argument("text")
@model_option
@click.option("--prompt", metavar="NAME", help="One of the model's prompts, put before the text.")
@click.option("--prefix", metavar="WORDS", help="Words to put before the text, literally.")
@click.option(
    "--truncate",
    type=click.Choice(["end", "start", "error"]),
    help="As the text was embedded; end by default.",
)
@click.option("--namespace", metavar="NAME", help="The cache namespace to look into.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def inspect(app: App, /, text: str, as_json: bool, **options: str | None) -> int:
    """Say which tiers have the vector of a text.

    This is no use of the vector: nothing is counted, computed or moved. Exit code 1 where no tier
    has it.

    \b
    Examples:
      $ emberd cache inspect "hello, world"
      $ emberd cache inspect "how fast?" --prompt query --json
    """
    with app.client() as client:
        found = client.inspect(text, **options)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(inspection_lines(found)))
    return 0 if found.cached else 1


def inspection_lines(found: CacheInspection) -> list[str]:
    """What the text is to the cache, then a line a tier."""
    rows = [
        [
            tier.tier,
            "yes" if tier.found else "no",
            "-" if tier.age_s is None else duration(tier.age_s),
            size(tier.size_bytes) if tier.found else "-",
            f"{tier.norm:.4f}" if tier.found else "-",
        ]
        for tier in found.tiers
    ]
    head = [
        ("model", f"{found.model} ({found.fingerprint})"),
        ("key", found.key),
        *([] if found.hits is None else [("hits", f"{found.hits:,}")]),
        ("tokens", f"{found.tokens:,}"),
        ("cached", "yes" if found.cached else "no"),
    ]
    header = ["TIER", "FOUND", "AGE", "SIZE", "NORM"]
    lines = [*pair_lines(head), "", *table_lines(header, rows, right="AGE SIZE NORM")]
    return lines + [f"  {tier.tier}: {tier.message}" for tier in found.tiers if tier.message]


@command.command()
@click.option("--namespace", metavar="NAME", help="Of this one; the default one else.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000),
    default=20,
    show_default=True,
    help="Texts to print, at most.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def top(app: App, namespace: str | None, limit: int, as_json: bool) -> int:
    """Print the texts that the cache has answered most often.

    Off until the setting `cache.top_texts` asks for it: 20 keeps the first 200 characters of 20
    texts a namespace, in memory alone. Exit code 1 where it is off.

    \b
    Examples:
      $ emberd cache top
      $ emberd cache top --namespace notes -n 5 --json
    """
    with app.client() as client:
        found = client.top_texts(namespace, limit=limit)
    if as_json:
        print_json(found)
    elif not found.kept:
        click.echo(found.message, err=True)
    else:
        click.echo("\n".join(top_lines(found)))
    return 0 if found.kept else 1


def top_lines(found: TopTexts) -> list[str]:
    """A line a text, most hits first; where a count may be too high, by how much."""
    rows = [
        [
            f"{each.hits:,}",
            percent(each.hits / found.hits) if found.hits else "-",
            f"{each.over:,}" if each.over else "-",
            f"{each.characters:,}",
            "".join(c if c.isprintable() else " " for c in each.text),
        ]
        for each in found.texts
    ]
    lines = table_lines(
        ["HITS", "SHARE", "OVER", "CHARS", "TEXT"], rows, right="HITS SHARE OVER CHARS"
    )
    return lines if rows else [*lines, f"no hits in {found.namespace!r} yet"]


@command.command()
@click.option("--namespace", metavar="NAME", help="Clear this one.")
@click.option("--all", "everything", is_flag=True, help="Clear every namespace.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object: tier -> records removed.")
@pass_app
def clear(app: App, namespace: str | None, everything: bool, yes: bool, as_json: bool) -> None:
    """Forget the vectors of a namespace, or of all.

    They are computed anew when they are asked for; nothing else is lost.

    \b
    Examples:
      $ emberd cache clear --namespace default
      $ emberd cache clear --all --yes
    """
    if everything == (namespace is not None):
        raise click.UsageError("Name what to clear: --namespace NAME or --all.")
    what = "every namespace" if everything else f"the namespace {namespace!r}"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Not a terminal: add --yes.")
        click.confirm(f"Forget the cached vectors of {what}?", abort=True, err=True)
    with app.client() as client:
        removed = client.cache_clear(namespace)
    if as_json:
        print_json(removed)
        return
    parts = [f"{plural(count, 'record')} from {tier}" for tier, count in removed.items()]
    click.echo(f"removed {', '.join(parts) or 'nothing'}")
