"""`emberd plugins`: list, describe, enable, disable and check plugins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from emberd.cli.context import App, Group, pass_app
from emberd.cli.plugin_rows import (
    PROBLEMS,
    Installed,
    info_lines,
    installed_info_lines,
    installed_lines,
    installed_plugins,
    list_lines,
)
from emberd.cli.plugin_switch import BUILT_IN, changes_to_disable, changes_to_enable
from emberd.cli.printing import print_json
from emberd.cli.process import running_pid
from emberd.cli.settings_edit import Change, edit, values_of
from emberd.errors import (
    DaemonUnreachableError,
    InvalidConfigError,
    InvalidRequestError,
    PluginNotFoundError,
)

if TYPE_CHECKING:
    from emberd.client import Client
    from emberd.wire.snapshot import PluginStats

__all__ = ["command"]

T = TypeVar("T")


@click.group(cls=Group, name="plugins")
def command() -> None:
    """List, describe, enable, disable and check plugins.

    Plugins add cache tiers, rate limiters, models of other servers, observers and exporters. They
    come with emberd or with packages of their own; each has its settings in [plugin.NAME].

    \b
    Examples:
      $ emberd plugins list
      $ emberd plugins enable redis
    """


def _complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    import importlib.metadata  # noqa: PLC0415  # for a shell that completes, alone

    names = {entry.name for entry in importlib.metadata.entry_points(group="emberd")}
    return sorted(name for name in names | {BUILT_IN} if name.startswith(incomplete))


@command.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@pass_app
def list_(app: App, as_json: bool) -> None:
    """List the plugins.

    With their states, what they provide, and how they do. Where no daemon runs: those that are
    installed, and whether the settings let them in; nothing of them is imported for that.

    \b
    Examples:
      $ emberd plugins list
      $ emberd plugins list --json
    """
    found = _asked(app, lambda client: client.plugins())
    rows: Sequence[PluginStats] | Sequence[Installed]
    rows = _installed(app) if found is None else found
    if as_json:
        print_json(rows)
    elif not rows:
        app.say("No plugins are installed.")
    elif found is None:
        click.echo("\n".join(installed_lines(_installed(app))))
    else:
        click.echo("\n".join(list_lines(found)))


@command.command()
@click.argument("name", shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def info(app: App, name: str, as_json: bool) -> None:
    """Describe a plugin.

    Its state, figures, hooks, folder and settings; secrets are masked. Where no daemon runs: what
    its package and the settings say.

    \b
    Examples:
      $ emberd plugins info redis
      $ emberd plugins info redis --json
    """
    found = _asked(app, lambda client: client.plugin_info(name))
    if found is not None:
        if as_json:
            print_json(found)
        else:
            click.echo("\n".join(info_lines(found)))
        return
    row = next((row for row in _installed(app) if row.name == name), None)
    if row is None:
        raise _unknown(name, [row.name for row in _installed(app)])
    if as_json:
        print_json(row)
    else:
        click.echo("\n".join(installed_info_lines(row, app.settings)))


@command.command()
@click.argument("name", shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def enable(app: App, name: str, as_json: bool) -> int:
    """Let a plugin in, or bring a tripped one back.

    Changes the settings file where that keeps the plugin out, and tells a daemon that runs. One
    that was never loaded waits for the daemon's next start. Exit code 1 where it does not work.

    \b
    Examples:
      $ emberd plugins enable redis
      $ emberd plugins enable redis && emberd restart
    """

    def changes(values: dict[str, Any], is_bundled: bool) -> list[Change]:
        return changes_to_enable(values, name, is_bundled=is_bundled)

    file = _change_settings(app, name, changes)
    found = _told(app, lambda client: client.enable_plugin(name))
    if app.is_local:
        _warn_if_blocked(app, name)
    _report(app, as_json, name, found, file, "enabled")
    return 1 if found is not None and found.state in PROBLEMS else 0


@command.command()
@click.argument("name", shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def disable(app: App, name: str, as_json: bool) -> None:
    """Keep a plugin out.

    Adds it to plugins.deny of the settings file, and tells a daemon that runs: it is left alone
    from now on.

    \b
    Examples:
      $ emberd plugins disable redis
    """
    if name == BUILT_IN:
        raise InvalidConfigError(
            f"{BUILT_IN} is a part of the daemon. cache.disk_mib = 0 in the settings turns it off."
        )
    file = _change_settings(app, name, lambda values, _: changes_to_disable(values, name))
    found = _told(app, lambda client: client.disable_plugin(name))
    _report(app, as_json, name, found, file, "disabled")


@command.command()
@click.argument("name", required=False, shell_complete=_complete)
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@pass_app
def check(app: App, name: str | None, as_json: bool) -> int:
    """Let a plugin check itself, or all of them.

    Where no daemon runs, they are loaded into this process for it, cautiously. Exit code 1 where
    something is wrong.

    \b
    Examples:
      $ emberd plugins check
      $ emberd plugins check redis --json
    """
    found = _asked(app, lambda client: client.check_plugins(name))
    if found is None:
        from emberd.cli.plugin_check import check_here  # noqa: PLC0415  # asyncio and NumPy

        found = check_here(app.settings, app.paths, name)
        if name is not None and not found:
            raise _unknown(name, [row.name for row in _installed(app)])
    bad = [row for row in found if row.state in PROBLEMS]
    if as_json:
        print_json(found)
    else:
        for row in found:
            state = "ok" if row.state == "enabled" else row.state
            click.echo(f"{row.name}: {state}{f': {row.message}' if row.message else ''}")
    return 1 if bad else 0


def _asked(app: App, ask: Callable[[Client], T]) -> T | None:
    """What the daemon says; None, with a remark, where none of this user's runs."""
    try:
        with app.client() as client:
            return ask(client)
    except DaemonUnreachableError:
        if not app.is_local or running_pid(app.paths) is not None:
            raise
        app.say("emberd is not running: this is what its next start would find.")
        return None


def _told(app: App, tell: Callable[[Client], PluginStats]) -> PluginStats | None:
    """The plugin as the daemon has it now; None where no daemon runs, or it does not know it."""
    try:
        with app.client() as client:
            return tell(client)
    except DaemonUnreachableError:
        if not app.is_local:
            raise
        return None
    except (PluginNotFoundError, InvalidRequestError) as exc:
        # Installed or let in after the daemon's start: only its next one loads it.
        if not app.is_local or exc.details.get("state") in PROBLEMS:
            raise
        return None


def _installed(app: App) -> list[Installed]:
    return installed_plugins(app.settings)


def _change_settings(
    app: App, name: str, changes: Callable[[dict[str, Any], bool], list[Change]]
) -> str:
    """Make the changes that are needed; the file that was changed, "" where none was.

    A daemon that is not this user's own has a settings file of its own, which is left alone.
    """
    if not app.is_local:
        return ""
    rows = {row.name: row for row in _installed(app)}
    values = values_of(app.paths.config_file)
    if name == BUILT_IN:
        return ""
    if name not in rows and name not in values.get("plugins", {}).get("deny", []):
        raise _unknown(name, [*rows, BUILT_IN])
    is_bundled = name in rows and rows[name].source == "emberd"
    wanted = changes(values, is_bundled)
    if not wanted:
        return ""
    edit(app.paths.config_file, wanted)
    app.say(f"changed {app.paths.config_file}")
    return str(app.paths.config_file)


def _warn_if_blocked(app: App, name: str) -> None:
    from emberd.config import load_settings  # noqa: PLC0415  # not for `--help`

    rows = installed_plugins(load_settings(app.paths.config_file))
    for row in rows:
        if row.name == name and row.state == "blocked":
            app.say(f"{name} is still kept out: {row.message}")


def _report(
    app: App, as_json: bool, name: str, found: PluginStats | None, file: str, word: str
) -> None:
    is_in_use = found is not None and found.state in ("enabled", "tripped")
    is_done = found is not None and is_in_use == (word == "enabled")
    if as_json:
        answer = {"name": name, "changed": file, "plugin": found, "is_restart_needed": not is_done}
        print_json(answer)
    elif found is None:
        click.echo(f"{name} is {word} from the daemon's next start on")
        if app.is_local and running_pid(app.paths) is not None:
            app.say("`emberd restart` does that now.")
    elif is_done and found.state != "tripped":
        click.echo(f"{name} is {word}")
    else:
        click.echo(f"{name} is {found.state}: {found.message or '`emberd restart` is needed.'}")


def _unknown(name: str, known: Sequence[str]) -> PluginNotFoundError:
    import difflib  # noqa: PLC0415  # where a name is wrong, alone

    near = difflib.get_close_matches(name, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "`emberd plugins list` shows them."
    return PluginNotFoundError(f"No plugin {name!r} is installed. {hint}")
