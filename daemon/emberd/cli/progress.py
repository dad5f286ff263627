"""Progress on stderr: one line, redrawn in place, silent where no person watches."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from emberd.cli.printing import amount, percent, shortened, size

if TYPE_CHECKING:
    from types import TracebackType

    from emberd.models import Progress

__all__ = ["ProgressLine", "draw_bar", "pull_text"]

_REDRAW_S = 0.1
_BAR_WIDTH = 28
_ERASE_LINE = "\r\x1b[2K"

_STEPS = {
    "download": "fetching",
    "verify": "verifying",
    "build": "building",
    "calibrate": "calibrating",
    "measure": "measuring",
    "check": "checking",
    "install": "installing",
}


def draw_bar(share: float, *, width: int = _BAR_WIDTH, is_ascii: bool = False) -> str:
    """A bar of `width` characters, `share` (0 to 1) of it filled."""
    full, rest = ("#", ".") if is_ascii else ("━", "╌")
    filled = round(min(max(share, 0.0), 1.0) * width)
    return full * filled + rest * (width - filled)


def pull_text(progress: Progress, *, is_ascii: bool = False) -> str:
    """One step of a pull, in 80 columns: its name, the file, a bar, how much of how much."""
    step = _STEPS.get(progress.step, progress.step)
    is_of_texts = progress.step in ("calibrate", "measure")
    if not progress.total:
        done = f"  {size(progress.done)}" if progress.done else " ..."
        return f"{step:<10} {progress.what}{done}"
    share = progress.done / progress.total
    bar = draw_bar(share, width=18, is_ascii=is_ascii)  # with the rest, 80 columns
    name = shortened(progress.what, 22)
    much = amount(progress.done, progress.total)
    if is_of_texts:
        much = f"{progress.done} of {progress.total} texts"
    return f"{step:<10} {name} {bar} {percent(share):>4}  {much}"


class ProgressLine:
    """A line that is redrawn at most ten times a second and erased at the end.

    Used as a context manager: whatever happens inside, the terminal is left clean.
    """

    def __init__(
        self,
        *,
        is_quiet: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.stream = sys.stderr if stream is None else stream
        can_redraw = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        self.is_on = can_redraw and not is_quiet
        self.is_ascii = "utf" not in (self.stream.encoding or "").lower()
        self._clock = clock
        self._drawn_at: float | None = None

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.erase()

    def show(self, text: Callable[[], str]) -> None:
        """Draw what `text` returns, unless the last drawing is under a tenth of a second old."""
        now = self._clock()
        if not self.is_on or (self._drawn_at is not None and now - self._drawn_at < _REDRAW_S):
            return
        self._drawn_at = now
        width = shutil.get_terminal_size().columns - 1
        self._write(_ERASE_LINE + text()[:width])

    def show_pull(self, progress: Progress) -> None:
        """Draw a step of a model's pull; the callback that `emberd.models.pull` takes."""
        self.show(lambda: pull_text(progress, is_ascii=self.is_ascii))

    def erase(self) -> None:
        """Leave an empty line; a remark may be printed now."""
        if self._drawn_at is not None:
            self._write(_ERASE_LINE)
            self._drawn_at = None

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
