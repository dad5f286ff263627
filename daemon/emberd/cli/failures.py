"""The one place where an exception becomes an exit code and a line on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from emberd.errors import EmberdError, StorageError

__all__ = ["EXIT_FAILED", "EXIT_NOT_RUNNING", "exit_code_for", "wants_json"]

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141  # 128 + SIGPIPE: what a shell reports for any other program


def wants_json(args: Sequence[str]) -> bool:
    """Whether `--json` is among the options; asked of the raw words, since parsing may fail."""
    options = args[: args.index("--")] if "--" in args else args
    return "--json" in options


def exit_code_for(exc: BaseException, *, as_json: bool) -> int:
    """Print what the person should read of `exc`, and say how the process should end."""
    if isinstance(exc, click.exceptions.Exit | SystemExit):
        return _code_of(exc)
    if isinstance(exc, KeyboardInterrupt | EOFError | click.Abort):
        return EXIT_INTERRUPTED
    if isinstance(exc, BrokenPipeError):
        _silence_stdout()
        return EXIT_BROKEN_PIPE
    if isinstance(exc, click.UsageError):
        _print_usage_error(exc, as_json)
        return EXIT_USAGE
    _print_error(_as_emberd_error(exc), as_json)
    return EXIT_FAILED


def _code_of(exc: click.exceptions.Exit | SystemExit) -> int:
    code = exc.exit_code if isinstance(exc, click.exceptions.Exit) else exc.code
    return code if isinstance(code, int) else EXIT_FAILED


def _as_emberd_error(exc: BaseException) -> EmberdError:
    if isinstance(exc, EmberdError):
        return exc
    if isinstance(exc, click.ClickException):
        return StorageError(exc.format_message())
    if isinstance(exc, OSError) and exc.strerror:
        name = f"{exc.filename}: " if exc.filename else ""
        return StorageError(f"{name}{exc.strerror}.")
    if os.environ.get("EMBERD_DEBUG"):
        raise exc
    return EmberdError(f"{type(exc).__name__}: {exc}. EMBERD_DEBUG=1 shows where it happened.")


def _print_error(error: EmberdError, as_json: bool) -> None:
    if as_json:
        _print_json(error.to_wire())
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {error.to_text()}", err=True)


def _print_usage_error(exc: click.UsageError, as_json: bool) -> None:
    message = exc.format_message()
    if isinstance(exc, click.exceptions.NoArgsIsHelpError):  # its message is the help itself
        click.echo(message, err=True)
        return
    if as_json:
        _print_json({"code": "USAGE", "message": message, "retryable": False})
        return
    path = exc.ctx.command_path if exc.ctx else "emberd"
    click.echo(f"{click.style('error:', fg='red', bold=True)} USAGE: {message}", err=True)
    click.echo(f"`{path} --help` shows the options.", err=True)


def _print_json(error: dict[str, Any]) -> None:
    click.echo(json.dumps({"error": error}, ensure_ascii=False, default=str), err=True)


def _silence_stdout() -> None:
    # Python flushes stdout once more at exit and would complain there about the closed pipe.
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        pass  # stdout is no file (a test's capture): nothing will be flushed
