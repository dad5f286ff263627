"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from emberd.cli.texts import SEPARATORS

__all__ = ["filter_option", "model_option", "text_options"]

F = TypeVar("F", bound=Callable[..., Any])


def text_options(command: F) -> F:
    """`TEXT...`, `--file` and `--separator`: what TextSource.from_command takes."""
    for option in (
        click.option(
            "--separator",
            type=click.Choice(SEPARATORS),
            default="line",
            show_default=True,
            help="What ends a text within a file.",
        ),
        click.option(
            "--file", "files", multiple=True, metavar="FILE", help="Read texts from it; - is stdin."
        ),
        click.argument("texts", nargs=-1, metavar="[TEXT]..."),
    ):
        command = option(command)
    return command


def model_option(command: F) -> F:
    """`--model`."""
    return click.option("--model", metavar="NAME", help="Default: models.default of the settings.")(
        command
    )


def filter_option(command: F) -> F:
    """`--filter`, as `filter_text`: what `emberd.cli.filters.parse_filter` reads."""
    return click.option(
        "--filter",
        "filter_text",
        metavar="EXPR",
        help="Only documents whose metadata fit: 'path ~ \"guide\" and lang = markdown'.",
    )(command)
