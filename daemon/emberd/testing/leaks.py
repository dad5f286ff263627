"""What a test left behind: threads, asyncio tasks, open files and sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import stat
import sys
import threading
import time
import weakref
from types import FrameType
from typing import Any

__all__ = ["LeakCheck"]

_PAUSE_S = 0.02


class LeakCheck:
    """Compares with how things were when it was made. Use it in one test at a time."""

    def __init__(self) -> None:
        gc.collect()
        self._threads = weakref.WeakSet(threading.enumerate())
        self._tasks = weakref.WeakSet(_open_tasks())
        self._loops = weakref.WeakSet(_loops_of_others())
        self._files = _open_files()

    def leaks(self) -> list[str]:
        """A line for each thing that was not there and is still there."""
        gc.collect()
        return [*self._new_threads(), *self._new_tasks(), *self._new_files()]

    def wait(self, timeout_s: float = 2.0) -> list[str]:
        """As `leaks`, after giving what is ending at the moment up to `timeout_s` for it."""
        deadline = time.monotonic() + timeout_s
        while (found := self.leaks()) and time.monotonic() < deadline:
            time.sleep(_PAUSE_S)
        return found

    def _new_threads(self) -> list[str]:
        frames = sys._current_frames()
        return [
            f"thread {thread.name!r}{_place(frames.get(thread.ident or 0))}"
            for thread in threading.enumerate()
            if thread not in self._threads
        ]

    def _new_tasks(self) -> list[str]:
        # A loop that ran elsewhere before belongs to somebody who goes on using it.
        return [
            f"asyncio task {task.get_name()!r}: {task.get_coro()!r}"
            for task in _open_tasks()
            if task not in self._tasks and task.get_loop() not in self._loops
        ]

    def _new_files(self) -> list[str]:
        return [
            f"file descriptor {number}: {_target(number)}"
            for number, identity in _open_files().items()
            if self._files.get(number) != identity
        ]


def _open_tasks() -> list[asyncio.Task[Any]]:
    # Of every loop in every thread: asyncio itself only tells of the running loop's.
    return [
        each
        for each in gc.get_objects()
        if issubclass(type(each), asyncio.Task) and not each.done()
    ]


def _loops_of_others() -> list[asyncio.AbstractEventLoop]:
    """Every loop that runs, but for the one that runs this code."""
    try:
        own = asyncio.get_running_loop()
    except RuntimeError:
        own = None
    return [
        each
        for each in gc.get_objects()
        if issubclass(type(each), asyncio.AbstractEventLoop)
        and each is not own
        and each.is_running()
    ]


def _open_files() -> dict[int, tuple[int, int]]:
    """Descriptor -> (device, inode)."""
    found = {}
    for name in os.listdir("/dev/fd"):
        try:
            status = os.fstat(int(name))
        except OSError:  # the listing's own
            continue
        found[int(name)] = status.st_dev, status.st_ino
    return found


def _target(number: int) -> str:
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            return _socket_target(number)
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return "unknown"  # closed meanwhile, or a system without /proc


def _socket_target(number: int) -> str:
    with socket.socket(fileno=os.dup(number)) as found:
        own = found.getsockname()
        try:
            return f"socket {own or 'without a name'} connected to {found.getpeername() or '?'}"
        except OSError:
            return f"socket {own or 'without a name'}"


def _place(frame: FrameType | None) -> str:
    if frame is None:
        return ""
    return f" in {frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_qualname})"
