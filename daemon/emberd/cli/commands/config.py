"""`emberd config`: show, check and write the settings."""

from __future__ import annotations

from typing import Any

import click

from emberd.cli.context import App, Group, pass_app
from emberd.cli.printing import print_json, table_lines
from emberd.cli.settings_file import SettingRow, commented_file, mask, setting_rows, toml_value
from emberd.errors import StorageError

__all__ = ["command"]


@click.group(cls=Group, name="config")
def command() -> None:
    """Show, check and write the settings.

    Settings come from one TOML file and from variables: EMBERD_CACHE__MEMORY_MIB=512 is the key
    memory_mib of the section [cache].

    \b
    Examples:
      $ emberd config show --changed
      $ emberd config init
    """


@command.command()
@click.option("--changed", is_flag=True, help="Only what differs from the default.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object: key -> value, origin.")
@pass_app
def show(app: App, changed: bool, as_json: bool) -> None:
    """Print every setting and where it was set.

    Stars mark what differs from its default. Secrets are masked.

    \b
    Examples:
      $ emberd config show
      $ emberd config show --json
    """
    rows = [row for row in setting_rows(app.paths.config_file) if row.is_changed or not changed]
    if as_json:
        print_json({row.key: _as_map(row) for row in rows})
        return
    for line in _lines(rows):
        click.echo(line)
    app.say(f"{len([row for row in rows if row.is_changed])} differ from the default (*).")


def _as_map(row: SettingRow) -> dict[str, Any]:
    return {
        "value": mask(row.key, row.value),
        "default": row.default,
        "origin": row.origin,
        "changed": row.is_changed,
    }


def _lines(rows: list[SettingRow]) -> list[str]:
    cells = [
        [
            "*" if row.is_changed else " ",
            row.key,
            toml_value(mask(row.key, row.value)),
            "" if row.origin == "default" else row.origin,
        ]
        for row in rows
    ]
    return table_lines(["", "KEY", "VALUE", "SET BY"], cells) if cells else []


@command.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def check(app: App, as_json: bool) -> None:
    """Say whether the settings are right.

    The keys of the dashboard are looked at, too. Exit code 1 where something is wrong; the message
    names it and the nearest valid one.

    \b
    Examples:
      $ emberd config check
      $ EMBERD_ENGINE__THREADS=two emberd config check
    """
    from emberd_tui.keymap import key_map  # noqa: PLC0415  # not for `--help`

    rows = setting_rows(app.paths.config_file)
    key_map(app.settings.dashboard.keys)
    file = app.paths.config_file
    is_set = [row.key for row in rows if row.origin != "default"]
    if as_json:
        print_json({"valid": True, "file": str(file), "exists": file.exists(), "set": is_set})
        return
    where = str(file) if file.exists() else f"{file} (not there: defaults)"
    click.echo(f"ok: {where}, {len(is_set)} set")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object with every folder.")
@pass_app
def path(app: App, as_json: bool) -> None:
    """Print the path of the settings file.

    \b
    Examples:
      $ emberd config path
      $ ${EDITOR:-vi} "$(emberd config path)"
    """
    paths = app.paths
    if not as_json:
        click.echo(str(paths.config_file))
        return
    print_json(
        {
            "config": str(paths.config_file),
            "runtime": str(paths.runtime),
            "socket": str(paths.socket),
            "data": str(paths.data),
            "log": str(paths.log_file),
        }
    )


@command.command()
@click.option("--force", is_flag=True, help="Write over the file that is there.")
@pass_app
def init(app: App, force: bool) -> None:
    """Write a settings file that explains every key.

    \b
    Examples:
      $ emberd config init
      $ EMBERD_CONFIG=./emberd.toml emberd config init
    """
    file = app.paths.config_file
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        # A token may be written into it one day: for its owner alone from the start.
        with file.open("w" if force else "x", encoding="utf-8") as out:
            file.chmod(0o600)
            out.write(commented_file())
    except FileExistsError as exc:
        raise StorageError(f"{file} is there already. --force writes over it.") from exc
    click.echo(f"wrote {file}")
