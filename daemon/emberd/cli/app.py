"""The root of the command line: its options, its table of commands, and its exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from emberd.cli.context import COMMON_OPTIONS, App
from emberd.cli.failures import exit_code_for, wants_json
from emberd.cli.lazy import LazyGroup
from emberd.cli.printing import allows_color

__all__ = ["SECTIONS", "cli", "run"]

SECTIONS = {
    "Daemon": {
        "up": "Start the daemon and wait until it is ready.",
        "down": "Let the daemon finish its work and leave.",
        "restart": "Stop the daemon and start it again.",
        "status": "Say whether the daemon runs, and how it is.",
        "logs": "Show the daemon's log.",
        "service": "Let the system start the daemon at login (systemd, launchd).",
    },
    "Embeddings": {
        "embed": "Turn texts into vectors.",
        "similarity": "Say how alike texts are (cosine similarity).",
        "tokens": "Count the model's tokens in texts.",
    },
    "Collections": {
        "index": "Bring a collection up to date with your files.",
        "search": "Find the documents of a collection that answer a question.",
        "collections": "List, describe, make, check and drop collections.",
    },
    "Cache and models": {
        "cache": "Look at the cache, look a text up in it, or clear it.",
        "models": "List, fetch, describe, unload and remove models.",
    },
    "Plugins": {
        "plugins": "List, describe, enable, disable and check plugins.",
    },
    "Looking in": {
        "top": "Open the dashboard.",
        "stat": "Print one line of figures a second.",
        "requests": "List the requests of late.",
        "doctor": "Check this machine and this installation.",
        "config": "Show, check and write the settings.",
        "api": "Print the daemon's methods.",
        "version": "Print the versions of emberd and of what it runs on.",
    },
}


def _print_version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from emberd import __version__  # noqa: PLC0415  # the one line that needs it

        click.echo(f"emberd {__version__}")
        ctx.exit()


_ROOT_OPTIONS: list[click.Parameter] = [
    *COMMON_OPTIONS,
    click.Option(
        ["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print the version and exit.",
    ),
]

cli = LazyGroup(
    "emberd",
    package="emberd.cli.commands",
    sections=SECTIONS,
    params=_ROOT_OPTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Keeps embeddings warm: one local daemon owns the model, the cache and the device, and
every tool on the machine shares it.

\b
Examples:
  $ emberd up                         start the daemon (fetches the model the first time)
  $ emberd embed "hello, world"       one vector
  $ emberd embed --file notes.txt --output notes.npy
  $ emberd index ./docs --collection docs
  $ emberd search docs "how do I make it faster?"
  $ emberd top                        the dashboard
""",
    epilog="`emberd COMMAND --help` shows a command's options, with examples.",
)


def run(args: Sequence[str]) -> int:
    """Run one command line; returns the exit code and raises nothing that a user can cause."""
    try:
        if "_EMBERD_COMPLETE" in os.environ:
            return int(cli.main(list(args), prog_name="emberd", standalone_mode=False) or 0)
        color = None if allows_color() else False
        with cli.make_context("emberd", list(args), color=color, obj=App()) as ctx:
            code = cli.invoke(ctx)
        sys.stdout.flush()  # a closed pipe must show here, not at exit
        return code if isinstance(code, int) else 0
    except BaseException as exc:
        return exit_code_for(exc, as_json=wants_json(args))
