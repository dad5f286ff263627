"""The dashboard in a browser of this machine, `emberd top --web`. Read-only, loopback only."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from emberd.errors import InvalidRequestError

__all__ = ["WEB_PORT", "serve"]

WEB_PORT = 8765


def serve(
    socket: str | None = None,
    *,
    port: int = WEB_PORT,
    ascii: bool = False,  # noqa: A002 - the command line's name for it
    interval_s: float = 1.0,
    theme: Literal["dark", "light"] = "dark",
    demo: bool = False,
    keys: Mapping[str, str | Sequence[str]] | None = None,
    tell: Callable[[str], None],
) -> int:
    """Serve the dashboard of the daemon on `socket` at 127.0.0.1 until SIGINT or SIGTERM; the
    options are those of `emberd_tui.run`.

    Port 0 takes a free one; `tell` is called with the URL once browsers are answered. Returns the
    exit status. Raises StorageError where the port cannot be had, and InvalidRequestError where
    textual-serve is not installed.
    """
    try:
        from emberd_tui.web.server import serve_command  # noqa: PLC0415 - aiohttp: not for --help
    except ModuleNotFoundError as exc:
        if (exc.name or "").startswith("emberd"):
            raise
        raise InvalidRequestError(
            "The dashboard in a browser needs textual-serve, which is not installed: "
            "pip install 'emberd[web]'."
        ) from exc
    # -P: a folder that one happens to be in is no place to import from.
    command = [sys.executable, "-P", "-m", "emberd_tui.web", "--read-only"]
    command += ["--interval", str(interval_s), "--theme", theme]
    command += ["--socket", socket] if socket else []
    command += ["--ascii"] if ascii else []
    command += ["--demo"] if demo else []
    command += ["--keys", json.dumps(dict(keys))] if keys else []
    serve_command(command, port, tell)
    return 0
