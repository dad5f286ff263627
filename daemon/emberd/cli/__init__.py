"""The command line: one file a command in `commands/`, over the public client."""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """The `emberd` command; ends the process with the command's exit code."""
    try:
        # Inside, so that Ctrl-C while Python is still importing leaves no traceback either.
        from emberd.cli.app import run  # noqa: PLC0415

        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
