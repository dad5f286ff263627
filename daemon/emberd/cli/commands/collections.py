"""`emberd collections`: list, describe, make, check and drop collections."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from emberd.cli.context import App, Group, pass_app
from emberd.cli.filters import parse_filter
from emberd.cli.hit_lines import document_lines, terminal_width
from emberd.cli.options import filter_option, model_option
from emberd.cli.printing import pair_lines, percent, plural, print_json, size, table_lines
from emberd.cli.pulling import ensure_model

if TYPE_CHECKING:
    from emberd.client import CollectionInfo

__all__ = ["command"]


@click.group(cls=Group, name="collections")
def command() -> None:
    """List, describe, make, check and drop collections.

    A collection holds documents with their vectors of one model, to be searched. `emberd index`
    fills one from files.

    \b
    Examples:
      $ emberd collections list
      $ emberd collections info docs
    """


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@pass_app
def list_(app: App, as_json: bool) -> None:
    """List the collections.

    \b
    Examples:
      $ emberd collections list
      $ emberd collections list --json
    """
    with app.client(autostart=True) as client:
        found = client.collections_list()
    if as_json:
        print_json(found)
    elif found:
        header = ["NAME", "DOCUMENTS", "SIZE", "MODEL", "DIM", "STATE", "CREATED"]
        rows = [_cells(info) for info in found]
        click.echo("\n".join(table_lines(header, rows, right="DOCUMENTS SIZE DIM")))
    else:
        app.say("There are no collections. `emberd index PATH --collection NAME` makes one.")


def _cells(info: CollectionInfo) -> list[str]:
    return [
        info.name,
        f"{info.documents:,}",
        size(info.size_bytes),
        info.model,
        str(info.dim),
        info.state or "-",
        _time(info.created),
    ]


def _time(seconds: float) -> str:
    if not seconds:
        return "-"
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def info(app: App, name: str, as_json: bool) -> None:
    """Describe a collection.

    \b
    Examples:
      $ emberd collections info docs
      $ emberd collections info docs --json
    """
    with app.client(autostart=True) as client:
        found = client.collections_info(name)
    if as_json:
        print_json(found)
    else:
        click.echo("\n".join(pair_lines(_pairs(found))))


def _pairs(info: CollectionInfo) -> list[tuple[str, str]]:
    state = info.state or "-"
    if info.rebuild_ratio < 1:
        state += f", {percent(info.rebuild_ratio)} rebuilt"
    counts = [(info.deleted, "deleted"), (info.damaged, "waiting for their vector")]
    others = "".join(f", {count:,} {what}" for count, what in counts if count)
    recall = "-" if info.recall is None else f"{percent(info.recall)} of the nearest neighbours"
    pairs = [
        ("name", info.name),
        ("documents", f"{info.documents:,}{others}"),
        ("model", f"{info.model}, {info.dim} dim, {info.dtype or 'f32'}"),
        ("fingerprint", info.fingerprint),
        ("state", state),
        ("", info.message),
        ("on disk", size(info.size_bytes)),
        ("in memory", size(info.memory_bytes)),
        ("graph", plural(info.indexed, "document")),
        ("recall", recall),
        ("version", str(info.version)),
        ("created", _time(info.created)),
    ]
    return [(name, value) for name, value in pairs if name or value]


@command.command()
@click.argument("name")
@model_option
@click.option("--exist-ok", is_flag=True, help="No error where it is there, for the same model.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def create(app: App, name: str, model: str | None, exist_ok: bool, as_json: bool) -> None:
    """Make an empty collection.

    Its model is settled with this: vectors of two models do not compare.

    \b
    Examples:
      $ emberd collections create notes
      $ emberd collections create notes --model all-MiniLM-L6-v2 --exist-ok
    """
    ensure_model(app, model)
    with app.client(autostart=True) as client:
        found = client.collections_create(name, model=model, exist_ok=exist_ok)
    if as_json:
        print_json(found)
    else:
        click.echo(f"{found.name} is there, for {found.model} ({found.dim} dim)")


@command.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def drop(app: App, name: str, yes: bool) -> None:
    """Delete a collection with all its documents.

    The files that were indexed stay, and so do the cached vectors: indexing them again is quick.

    \b
    Examples:
      $ emberd collections drop notes
      $ emberd collections drop notes --yes
    """
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("Not a terminal: add --yes.")
    with app.client(autostart=True) as client:
        documents = client.collections_info(name).documents
        if not yes:
            what = f"{name} with {plural(documents, 'document')}"
            click.confirm(f"Delete {what}?", abort=True, err=True)
        client.collections_drop(name)
    click.echo(f"dropped {name} ({plural(documents, 'document')})")


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def check(app: App, name: str, as_json: bool) -> int:
    """Read everything of a collection and mend what can be mended.

    Exit code 1 where something is wrong, mended or not.

    \b
    Examples:
      $ emberd collections check docs
      $ emberd collections check docs --json
    """
    with app.client(autostart=True) as client:
        report = client.collections_check(name)
    if as_json:
        print_json(report)
    else:
        counts = ", ".join(f"{count:,} {what}" for what, count in report.counts.items())
        lines = [f"{'ok' if report.ok else 'not ok'}: {name}{f', {counts}' if counts else ''}"]
        lines += [f"  problem: {problem}" for problem in report.problems]
        lines += [f"  mended: {mended}" for mended in report.mended]
        click.echo("\n".join(lines))
    return 0 if report.ok else 1


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def rebuild(app: App, name: str, as_json: bool) -> None:
    """Build a collection's graph anew, in the background.

    Searches go on meanwhile. The daemon does this by itself when much has been deleted.

    \b
    Examples:
      $ emberd collections rebuild docs
      $ emberd collections rebuild docs && emberd collections info docs
    """
    with app.client(autostart=True) as client:
        is_started = client.collections_rebuild(name)
    if as_json:
        print_json({"name": name, "started": is_started})
        return
    state = "is being rebuilt" if is_started else "was being rebuilt already"
    click.echo(f"{name} {state}; `emberd collections info {name}` shows its state")


@command.command()
@click.argument("name")
@filter_option
@click.option(
    "-n",
    "--limit",
    default=100,
    show_default=True,
    type=click.IntRange(min=0),
    help="How many, at most; 0 is all.",
)
@click.option("--full", is_flag=True, help="Print each document's whole text.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a document.")
@pass_app
def scan(
    app: App, name: str, filter_text: str | None, limit: int, full: bool, as_json: bool
) -> None:
    """Print the documents of a collection.

    They come in the order in which they were written. A filter is written as for `emberd search`.

    \b
    Examples:
      $ emberd collections scan docs -n 5
      $ emberd collections scan docs --filter 'path = "guide.md"' --full
      $ emberd collections scan docs -n 0 --json > docs.ndjson
    """
    where = parse_filter(filter_text) if filter_text is not None else None
    shown, width = 0, terminal_width()
    with app.client(autostart=True) as client:
        page = min(limit, 256) or 256
        for document in client.scan(name, where=where, page=page):
            if as_json:
                print_json(_document_map(document))
            else:
                click.echo("\n".join([*document_lines(document, width=width, is_full=full), ""]))
            shown += 1
            if shown == limit:
                break
    app.say(plural(shown, "document"))


def _document_map(document: Any) -> dict[str, Any]:
    return {"id": document.id, "text": document.text, "metadata": document.metadata}
