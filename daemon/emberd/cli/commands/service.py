"""`emberd service`: let the system start the daemon at login."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import click

from emberd.cli.context import App, Group, pass_app
from emberd.cli.printing import print_json
from emberd.cli.units import LAUNCHD_LABEL, UnitFile, unit_files

__all__ = ["command"]

_TOOL_LIMIT_S = 30


@click.group(cls=Group, name="service")
def command() -> None:
    """Let the system start the daemon at login (systemd, launchd).

    On Linux these are systemd user units: the socket is there from login on, and the first
    connection starts the daemon. On macOS it is a launchd agent.

    \b
    Examples:
      $ emberd service install --dry-run
      $ emberd service install
      $ systemctl --user status emberd
    """


@command.command()
@click.option("--dry-run", is_flag=True, help="Print the files and the commands; change nothing.")
@pass_app
def install(app: App, dry_run: bool) -> None:
    """Write the files and switch the service on.

    The daemon will run with the Python, the EMBERD_HOME and the EMBERD_CONFIG of this shell.

    \b
    Examples:
      $ emberd service install --dry-run
      $ emberd service install
    """
    files = unit_files(app.paths)
    if dry_run:
        _print_plan(files, _install_commands(files))
        return
    for file in files:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        file.path.write_text(file.text, "utf-8")
        click.echo(f"wrote {file.path}")
    _run_all(app, _install_commands(files))


@command.command()
@click.option("--dry-run", is_flag=True, help="Print what would be removed; change nothing.")
@pass_app
def uninstall(app: App, dry_run: bool) -> None:
    """Switch the service off and remove its files.

    \b
    Examples:
      $ emberd service uninstall --dry-run
      $ emberd service uninstall
    """
    files = [file for file in unit_files(app.paths) if file.path.exists()]
    if dry_run or not files:
        click.echo("\n".join(f"would remove {file.path}" for file in files) or "not installed")
        return
    before, after = _uninstall_commands(files)
    _run_all(app, before)
    for file in files:
        file.path.unlink(missing_ok=True)
        click.echo(f"removed {file.path}")
    _run_all(app, after)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@pass_app
def status(app: App, as_json: bool) -> None:
    """Say whether the service is installed, and switched on.

    \b
    Examples:
      $ emberd service status
      $ emberd service status --json
    """
    files = unit_files(app.paths)
    installed = {str(file.path): file.path.exists() for file in files}
    current = [file.path.exists() and file.path.read_text("utf-8") == file.text for file in files]
    states = _states()
    if as_json:
        print_json(
            {
                "installed": all(installed.values()),
                "up_to_date": all(current),
                "files": installed,
                "states": states,
            }
        )
        return
    for path, is_there in installed.items():
        click.echo(f"{'installed' if is_there else 'not there':<10} {path}")
    for name, state in states.items():
        click.echo(f"{state:<10} {name}")
    if all(installed.values()) and not all(current):
        app.say("The files differ from what this emberd writes: `emberd service install`.")


def _install_commands(files: list[UnitFile]) -> list[list[str]]:
    if sys.platform == "darwin":
        return [["launchctl", "bootstrap", f"gui/{os.getuid()}", str(files[0].path)]]
    return [
        ["systemctl", "--user", "daemon-reload"],
        ["systemctl", "--user", "enable", "--now", "emberd.socket"],
    ]


def _uninstall_commands(files: list[UnitFile]) -> tuple[list[list[str]], list[list[str]]]:
    """Commands before and after the files go."""
    if sys.platform == "darwin":
        return [["launchctl", "bootout", f"gui/{os.getuid()}", str(files[0].path)]], []
    stop = ["systemctl", "--user", "disable", "--now", "emberd.socket", "emberd.service"]
    return [stop], [["systemctl", "--user", "daemon-reload"]]


def _states() -> dict[str, str]:
    if sys.platform == "darwin":
        found = _run(["launchctl", "print", f"gui/{os.getuid()}/{LAUNCHD_LABEL}"])
        return {LAUNCHD_LABEL: "active" if found and found.returncode == 0 else "inactive"}
    states = {}
    for unit in ("emberd.socket", "emberd.service"):
        found = _run(["systemctl", "--user", "is-active", unit])
        states[unit] = (found.stdout.strip() if found else "") or "unknown"
    return states


def _print_plan(files: list[UnitFile], commands: list[list[str]]) -> None:
    for file in files:
        click.echo(click.style(f"# {file.path}", bold=True))
        click.echo(file.text)
    for words in commands:
        click.echo(f"$ {' '.join(words)}")


def _run_all(app: App, commands: list[list[str]]) -> None:
    """The files count; where the system's manager cannot be reached now, say what to do later."""
    for words in commands:
        found = _run(words)
        if found is None or found.returncode:
            reason = found.stderr.strip().partition("\n")[0] if found else "it is not there"
            app.say(f"{words[0]} could not be told ({reason}). When it can, run:")
            for later in commands[commands.index(words) :]:
                app.say(f"  {' '.join(later)}")
            return


def _run(words: list[str]) -> subprocess.CompletedProcess[str] | None:
    if shutil.which(words[0]) is None:
        return None
    try:
        return subprocess.run(
            words, capture_output=True, text=True, timeout=_TOOL_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return None
