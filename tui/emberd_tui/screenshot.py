"""Pictures of the dashboard as SVG, without a terminal: for the README and for looking at it.

`python -m emberd_tui.screenshot overview.svg --size 160x48` draws made-up figures.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC
from itertools import islice
from pathlib import Path

from emberd.wire.snapshot import Snapshot
from emberd_tui.answers import Answer
from emberd_tui.app import DashboardApp, Theme
from emberd_tui.asks import Ask
from emberd_tui.demo import demo_snapshots
from emberd_tui.demo_answers import demo_answer
from emberd_tui.palette import DARK, LIGHT
from emberd_tui.recording import Recording
from emberd_tui.replay import ReplaySource
from emberd_tui.states import Live, State

__all__ = ["export_replay_svg", "export_svg", "main"]


class _Made:
    """Every snapshot at its own time, then silence but for answers."""

    def __init__(self, snapshots: Sequence[Snapshot]) -> None:
        self.address = ""
        self.can_start = False
        self._snapshots = snapshots
        self.settled = asyncio.Event()

    async def ask(self, ask: Ask) -> Answer:
        """Made-up answers that fit the made-up figures."""
        return demo_answer(ask, self._snapshots[-1])

    def retry(self) -> None:
        """Nothing to retry."""

    def start(self) -> None:
        """Nothing to start."""

    async def states(self) -> AsyncIterator[State]:
        for snapshot in self._snapshots:
            yield Live(snapshot, snapshot.time)
        self.settled.set()
        await asyncio.Event().wait()


def export_svg(
    snapshots: Sequence[Snapshot],
    size: tuple[int, int],
    path: Path | str,
    *,
    ascii: bool = False,  # noqa: A002 - as everywhere
    theme: Theme = "dark",
    keys: Sequence[str] = (),
    title: str = "emberd top",
) -> Path:
    """Write the overview after `snapshots` at `size` (columns, rows); times are shown in UTC.

    `keys` are pressed before the picture is taken, by Textual's names. Equal input gives equal
    bytes. Needs no terminal; must not be called from a running event loop.
    """
    now = snapshots[-1].time if snapshots else 0.0
    source = _Made(snapshots)
    return _export(
        source, lambda: now, size, path, ascii=ascii, theme=theme, keys=keys, title=title
    )


def export_replay_svg(
    recording: Recording,
    at: float,
    size: tuple[int, int],
    path: Path | str,
    *,
    keys: Sequence[str] = (),
    title: str = "emberd top",
) -> Path:
    """The same of a recording, `at` seconds from its start."""
    source = ReplaySource(recording, at=at, is_paused=True)
    return _export(source, source.clock, size, path, keys=keys, title=title)


def _export(
    source: _Made | ReplaySource,
    clock: Callable[[], float],
    size: tuple[int, int],
    path: Path | str,
    *,
    keys: Sequence[str],
    title: str,
    ascii: bool = False,  # noqa: A002 - as everywhere
    theme: Theme = "dark",
) -> Path:
    palette = LIGHT if theme == "light" else DARK
    app = DashboardApp(source, ascii=ascii, palette=palette, clock=clock, zone=UTC, debounce_s=0.0)

    async def take() -> str:
        async with app.run_test(size=size) as pilot:
            await source.settled.wait()
            await pilot.press(*keys)
            await pilot.pause()
            return app.export_screenshot(title=title)

    target = Path(path)
    target.write_text(asyncio.run(take()), encoding="utf-8")
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: made-up figures in a picture."""
    parser = argparse.ArgumentParser(prog="python -m emberd_tui.screenshot")
    parser.add_argument("path", type=Path, help="the SVG file to write")
    parser.add_argument("--size", default="160x48", metavar="COLUMNSxROWS")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--ascii", action="store_true")
    parser.add_argument("--seconds", type=int, default=320, help="of made-up past, %(default)s")
    parser.add_argument("--keys", default="", help="to press first, separated by commas")
    options = parser.parse_args(arguments)
    columns, _, rows = options.size.partition("x")
    written = export_svg(
        list(islice(demo_snapshots(), options.seconds)),
        (int(columns), int(rows)),
        options.path,
        ascii=options.ascii,
        theme=options.theme,
        keys=[key for key in options.keys.split(",") if key],
    )
    print(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
