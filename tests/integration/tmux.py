"""A tmux server of its own: what a program does to a real terminal emulator."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

__all__ = ["Tmux"]

_WAIT_S = 30.0
_POLL_S = 0.05


class Tmux:
    """One pane with a plain shell in it; use it as a context manager."""

    def __init__(
        self, folder: Path, variables: Mapping[str, str], *, width: int, height: int
    ) -> None:
        # TMUX: a test that is run in tmux must not reach the server around it.
        outer = {name: value for name, value in os.environ.items() if name != "TMUX"}
        self._environment = {**outer, **variables, "TMUX_TMPDIR": str(folder), "PS1": "$ "}
        self._size = ("-x", str(width), "-y", str(height))

    def __enter__(self) -> Tmux:
        self._run("new-session", "-d", *self._size, "sh")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run("kill-server")

    def press(self, *keys: str) -> None:
        """Keys by tmux's names of them."""
        self._run("send-keys", *keys)

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def resize(self, width: int, height: int) -> None:
        """Returns once the program's own terminal has the size."""
        deadline = time.monotonic() + _WAIT_S
        while self._pane_size() != f"{width}x{height}":
            assert time.monotonic() < deadline, f"tmux stays at {self._pane_size()}"
            self._run("resize-window", "-x", str(width), "-y", str(height))
            time.sleep(_POLL_S)

    def _pane_size(self) -> str:
        """As the kernel has it: tmux tells the program a moment after it has resized itself."""
        tty = self._run("display-message", "-p", "#{pane_tty}").strip()
        with Path(tty).open() as terminal:
            columns, lines = os.get_terminal_size(terminal.fileno())
        return f"{columns}x{lines}"

    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def mode(self, name: str) -> bool:
        """A mode of the terminal: `alternate_on`, `cursor_flag`, `mouse_any_flag`."""
        return self._run("display-message", "-p", f"#{{{name}}}").strip() == "1"

    def shown(self, *texts: str, line: str = "", without: str = "\0") -> str:
        """The screen, once all of these texts and a line like this are on it, `without` not."""
        deadline = time.monotonic() + _WAIT_S
        while True:
            screen = self.screen()
            has_all = all(text in screen for text in texts) and re.search(line, screen)
            if has_all and without not in screen:
                return screen
            assert time.monotonic() < deadline, f"{texts} {line} did not come:\n{screen}"
            time.sleep(_POLL_S)

    def _run(self, *words: str) -> str:
        command = ["tmux", "-u", "-L", "emberd-test", "-f", "/dev/null", *words]
        return subprocess.run(
            command, env=self._environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout
