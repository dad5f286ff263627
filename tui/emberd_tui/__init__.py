"""The terminal dashboard, `emberd top`. Textual is imported only when it runs."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from emberd_tui.recording import Recording

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
    record: Path | None = None,
    replay: Recording | None = None,
    at_s: float = 0.0,
) -> int:
    """Show the dashboard of the daemon on `socket` (None is the usual one) until `q`.

    Returns the exit status: 0, or 2 where there is no terminal to draw on. Never starts a daemon
    unless its user asks for that with a key. `demo` shows made-up figures without a daemon. `keys`
    are the keys of actions by their names, "" for none. Raises InvalidConfigError for keys that
    cannot be, InvalidParamsError for an address that cannot be one. `read_only` refuses every key
    that changes something. `record` is a file to record to from the start; `replay` is played from
    `at_s` on, without a daemon. Raises StorageError where the file to record to exists or cannot be
    made.
    """
    # Textual can be told to draw elsewhere: `web` does, for a browser.
    has_screen = "TEXTUAL_DRIVER" in os.environ or (sys.stdin.isatty() and sys.stdout.isatty())
    if not has_screen:
        print("emberd top needs a terminal; `emberd stat` prints the figures.", file=sys.stderr)
        return 2
    if "TEXTUAL_DRIVER" not in os.environ:
        # A parent that exports its terminal's size would hold ours to it for ever.
        for name in ("COLUMNS", "LINES"):
            os.environ.pop(name, None)
    # What the imports make is never freed: looking through it for garbage takes a tenth of the time
    # to the first frame, and some of every collection after it.
    gc.disable()
    # Here and not above: the command line imports this module for its help alone.
    from emberd_tui.app import DashboardApp  # noqa: PLC0415
    from emberd_tui.keymap import key_map  # noqa: PLC0415
    from emberd_tui.panels import load_panels  # noqa: PLC0415
    from emberd_tui.recorder import Recorder  # noqa: PLC0415
    from emberd_tui.replay import ReplaySource  # noqa: PLC0415
    from emberd_tui.source import DEMO_ADDRESS, ClientSource, Source  # noqa: PLC0415

    def source_of(address: str | None) -> Source:
        if demo and address == DEMO_ADDRESS:
            from emberd_tui.demo import DemoSource  # noqa: PLC0415

            return DemoSource(interval_s)
        return ClientSource(address, interval_s)

    keymap = key_map(keys or {})  # first: keys that cannot be must leave no empty recording behind
    player = ReplaySource(replay, at=at_s) if replay else None
    source = player or source_of(DEMO_ADDRESS if demo else socket)
    recorder = Recorder(source.address)
    if record is not None:
        recorder.begin(record)
    app = DashboardApp(
        source,
        ascii=ascii,
        theme=theme,
        panels=load_panels(),
        keys=keymap,
        connect=None if player else source_of,
        is_read_only=read_only,
        clock=player.clock if player else time.monotonic,
        recorder=recorder,
        replay=player,
    )
    gc.freeze()
    gc.enable()
    try:
        return app.run() or app.return_code or 0
    finally:
        if said := recorder.stop():
            print(said, file=sys.stderr)
