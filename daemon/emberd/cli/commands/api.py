"""`emberd api`: the daemon's methods, from the table that the daemon itself dispatches by."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

import click

from emberd.cli.context import Command
from emberd.cli.printing import pair_lines, print_json
from emberd.errors import MethodNotFoundError
from emberd.service.api import describe

__all__ = ["command", "method_lines"]


@click.command(cls=Command, name="api")
@click.argument("method", required=False)
@click.option("--json", "as_json", is_flag=True, help="The table as JSON.")
def command(method: str | None, as_json: bool) -> None:
    """Print the daemon's methods.

    With METHOD, that one with its parameters, result and errors.

    The daemon speaks MessagePack-RPC on its socket; any client of that protocol can call these.

    \b
    Examples:
      $ emberd api
      $ emberd api embed
      $ emberd api --json
    """
    methods = {str(row["name"]): row for row in describe()}
    if method is not None and method not in methods:
        raise _unknown(method, list(methods))
    if as_json:
        print_json(methods[method] if method else list(methods.values()))
    elif method:
        click.echo("\n".join(method_lines(methods[method])))
    else:
        rows = [(name, str(row["summary"])) for name, row in methods.items()]
        click.echo("\n".join(pair_lines(rows)))


def _unknown(method: str, known: list[str]) -> MethodNotFoundError:
    near = difflib.get_close_matches(method, known, n=1)
    hint = f"Did you mean {near[0]!r}?" if near else "`emberd api` lists them."
    return MethodNotFoundError(f"No method {method!r}. {hint}")


def method_lines(row: dict[str, Any]) -> Iterator[str]:
    """One method in full: summary, parameters with types and defaults, result, errors."""
    yield click.style(row["name"], bold=True)
    yield f"  {row['summary']}"
    if row["params"]:
        yield ""
        yield "Parameters:"
        for param in row["params"]:
            yield f"  {param['name']}: {param['type']}{_default(param)}"
            if param["doc"]:
                yield f"      {param['doc']}"
    yield ""
    yield f"Result: {row['result']}"
    yield f"Errors: {', '.join(row['errors']) or 'none of its own'}"


def _default(param: dict[str, Any]) -> str:
    if param.get("required"):
        return "  (required)"
    return f" = {json.dumps(param['default'], default=str)}"
