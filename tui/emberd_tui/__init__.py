"""The terminal dashboard, `emberd top`. Textual is imported only when it runs."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Literal

__all__ = ["run"]


def run(
    socket: str | None = None,
    *,
    ascii: bool = False,  # noqa: A002 - the command line's name for it
    interval_s: float = 1.0,
    theme: Literal["dark", "light"] = "dark",
    demo: bool = False,
    keys: Mapping[str, str | Sequence[str]] | None = None,
    read_only: bool = False,
) -> int:
    """Show the dashboard of the daemon on `socket` (None is the usual one) until `q`.

    Returns the exit status: 0, or 2 where there is no terminal to draw on. Never starts a daemon
    unless its user asks for that with a key. `demo` shows made-up figures without a daemon. `keys`
    are the keys of actions by their names, "" for none. Raises InvalidConfigError for keys that
    cannot be, InvalidParamsError for an address that cannot be one. `read_only` refuses every key
    that changes something.
    """
    # Textual can be told to draw elsewhere: `web` does, for a browser.
    has_screen = "TEXTUAL_DRIVER" in os.environ or (sys.stdin.isatty() and sys.stdout.isatty())
    if not has_screen:
        print("emberd top needs a terminal; `emberd stat` prints the figures.", file=sys.stderr)
        return 2
    # What the imports make is never freed: looking through it for garbage takes a tenth of the time
    # to the first frame, and some of every collection after it.
    gc.disable()
    # Here and not above: the command line imports this module for its help alone.
    from emberd_tui.app import DashboardApp  # noqa: PLC0415
    from emberd_tui.keymap import key_map  # noqa: PLC0415
    from emberd_tui.panels import load_panels  # noqa: PLC0415
    from emberd_tui.source import DEMO_ADDRESS, ClientSource, Source  # noqa: PLC0415

    def source_of(address: str | None) -> Source:
        if demo and address == DEMO_ADDRESS:
            from emberd_tui.demo import DemoSource  # noqa: PLC0415

            return DemoSource(interval_s)
        return ClientSource(address, interval_s)

    app = DashboardApp(
        source_of(DEMO_ADDRESS if demo else socket),
        ascii=ascii,
        theme=theme,
        panels=load_panels(),
        keys=key_map(keys or {}),
        connect=source_of,
        is_read_only=read_only,
    )
    gc.freeze()
    gc.enable()
    return app.run() or app.return_code or 0
