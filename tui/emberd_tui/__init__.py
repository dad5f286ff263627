"""The terminal dashboard, `emberd top`. Textual is imported only when it runs."""

from __future__ import annotations

import sys
from typing import Literal

__all__ = ["run"]


def run(
    socket: str | None = None,
    *,
    ascii: bool = False,  # noqa: A002 - the command line's name for it
    interval_s: float = 1.0,
    theme: Literal["dark", "light"] = "dark",
    demo: bool = False,
) -> int:
    """Show the dashboard of the daemon on `socket` (None is the usual one) until `q`.

    Returns the exit status: 0, or 2 where there is no terminal to draw on. Never starts a daemon
    unless its user asks for that with a key. `demo` shows made-up figures without a daemon.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("emberd top needs a terminal; `emberd stat` prints the figures.", file=sys.stderr)
        return 2
    # Here and not above: the command line imports this module for its help alone.
    from emberd_tui.app import DashboardApp  # noqa: PLC0415
    from emberd_tui.demo import DemoSource  # noqa: PLC0415
    from emberd_tui.panels import load_panels  # noqa: PLC0415
    from emberd_tui.source import ClientSource, Source  # noqa: PLC0415

    source: Source = DemoSource(interval_s) if demo else ClientSource(socket, interval_s)
    app = DashboardApp(source, ascii=ascii, theme=theme, panels=load_panels())
    return app.run() or app.return_code or 0
