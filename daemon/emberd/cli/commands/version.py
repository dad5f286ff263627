"""`emberd version`: the versions of emberd and of what it runs on."""

from __future__ import annotations

import platform

import click

import emberd
from emberd.cli.checks.software import package_version
from emberd.cli.context import Command
from emberd.cli.printing import pair_lines, print_json

__all__ = ["command"]

_SHOWN = ("onnxruntime", "onnxruntime-gpu", "tokenizers", "numpy", "lmdb", "msgpack", "textual")


@click.command(cls=Command, name="version")
@click.option("--json", "as_json", is_flag=True, help="A JSON object: name -> version.")
def command(as_json: bool) -> None:
    """Print the versions of emberd and of what it runs on.

    \b
    Examples:
      $ emberd version
      $ emberd version --json
    """
    versions = {
        "emberd": emberd.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
    }
    versions |= {name: version for name in _SHOWN if (version := package_version(name))}
    if as_json:
        print_json(versions)
        return
    for line in pair_lines(list(versions.items())):
        click.echo(line)
