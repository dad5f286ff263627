"""`emberd doctor`: checks of this machine and this installation."""

from __future__ import annotations

import click

from emberd.cli.checks import Finding, all_findings
from emberd.cli.context import App, Command, pass_app
from emberd.cli.failures import EXIT_FAILED
from emberd.cli.printing import print_json

__all__ = ["command"]

_COLORS = {"ok": "green", "warn": "yellow", "fail": "red"}
_NAME_WIDTH = 13


@click.command(cls=Command, name="doctor")
@click.option("--json", "as_json", is_flag=True, help="A JSON object with a list of findings.")
@pass_app
def command(app: App, as_json: bool) -> int:
    """Check this machine and this installation.

    Each line is ok, warn or fail; below a warn or fail stands what to do. Exit code 1 where
    something fails. Nothing is changed.

    \b
    Examples:
      $ emberd doctor
      $ emberd doctor --json
    """
    findings = []
    for finding in all_findings(app):
        findings.append(finding)
        if not as_json:
            _print(finding)
    counts = {state: sum(f.state == state for f in findings) for state in _COLORS}
    if as_json:
        print_json({"healthy": not counts["fail"], "findings": findings})
    else:
        app.say(f"{counts['ok']} ok, {counts['warn']} warn, {counts['fail']} fail")
    return EXIT_FAILED if counts["fail"] else 0


def _print(finding: Finding) -> None:
    state = click.style(f"{finding.state:<4}", fg=_COLORS[finding.state], bold=True)
    click.echo(f"{state}  {finding.name:<{_NAME_WIDTH}} {finding.message}")
    if finding.advice:
        click.echo(f"{'':<{6 + _NAME_WIDTH}} -> {finding.advice}")
