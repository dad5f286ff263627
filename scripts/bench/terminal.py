"""A program in a terminal of its own: a pseudo-terminal, and a thread that reads what is drawn."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

import psutil

from bench.daemon import clean_environment

__all__ = ["Terminal"]

_COLUMNS, _LINES = 160, 48
_END_S = 10.0
_WAIT_S = 30.0


class Terminal:
    """160x48 cells with true colour; use it as a context manager, which starts the program."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        self._command = command
        self._variables = variables
        self._changed = threading.Condition()
        self._drawn = bytearray()
        self.size_bytes = 0
        """Written to the terminal so far."""

    def __enter__(self) -> Terminal:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
        colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self.started = time.perf_counter()
        self._process = subprocess.Popen(
            self._command,
            env={**clean_environment(), **colours, **self._variables},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        os.close(self._master)

    def press(self, keys: str) -> None:
        """Type; what is drawn from here is what `wait_for` looks at."""
        with self._changed:
            self._drawn.clear()
        os.write(self._master, keys.encode())

    def wait_for(self, *texts: str) -> float:
        """Seconds from the start until all of these texts have been drawn, one after another.

        Raises RuntimeError where they have not come after half a minute.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._has(texts), _WAIT_S):
                raise RuntimeError(f"{self._command[0]} has not drawn {texts}")
            return time.perf_counter() - self.started

    def cpu_s(self) -> float:
        """Seconds of processor time that the program has used so far."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def _has(self, texts: Sequence[str]) -> bool:
        place = 0
        for text in texts:
            place = self._drawn.find(text.encode(), place) + 1
            if not place:
                return False
        return True

    def _read(self) -> None:
        while drawn := self._next():
            with self._changed:
                self._drawn += drawn
                self.size_bytes += len(drawn)
                self._changed.notify_all()

    def _next(self) -> bytes:
        try:
            return os.read(self._master, 65_536)
        except OSError:  # Linux: the program has closed its side
            return b""
