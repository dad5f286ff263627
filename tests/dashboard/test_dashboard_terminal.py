"""The dashboard as a person starts it: the settings file, a real terminal, real daemons."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dashboard_support import screen_text
from textual.events import Paste

from emberd.testing import InProcessDaemon
from emberd_tui.app import DashboardApp
from emberd_tui.source import ClientSource

LIMIT_S = 30.0


class Terminal:
    """What a program writes to a terminal of 100 columns."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._text = b""

    def until(self, words: str) -> None:
        """Wait until these words were written."""
        until = time.monotonic() + LIMIT_S
        while words.encode() not in self._text:
            assert time.monotonic() < until, self._text[-2_000:]
            if select.select([self._master], [], [], 0.2)[0]:
                self._text += os.read(self._master, 65_536)
        self._text = self._text.partition(words.encode())[2]

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())


@contextmanager
def top(home: Path, *options: str) -> Iterator[tuple[Terminal, subprocess.Popen[bytes]]]:
    """`emberd top` in a terminal of its own."""
    master, slave = pty.openpty()
    environment = {**os.environ, "EMBERD_HOME": str(home), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "emberd", "top", *options],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**environment, "COLUMNS": "100", "LINES": "30"},
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master), process
    finally:
        process.kill()
        process.wait()
        os.close(master)


def test_keys_of_the_settings_file_act_in_a_real_terminal(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[dashboard]\nascii = true\n[dashboard.keys]\nfreeze = "f"\nsort = ["ctrl+n"]\nquit = "Q"\n'
    )
    with top(tmp_path, "--demo") as (terminal, process):
        terminal.until("Clients")
        terminal.press("f")
        terminal.until("FROZEN")
        terminal.press("\x0e")
        terminal.until("hit*")
        terminal.press("Q")
        assert process.wait(LIMIT_S) == 0


def test_wrong_keys_are_told_before_the_terminal_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[dashboard.keys]\nfreez = "f"\n')
    with top(tmp_path, "--demo") as (terminal, process):
        terminal.until("dashboard.keys.freez: there is no such action; did you mean 'freeze'?")
        assert process.wait(LIMIT_S) == 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_another_real_daemon_is_shown_by_its_socket_and_over_tcp_with_the_token(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EMBERD_TOKEN", "s3cret")
    port = free_port()
    # A daemon takes the dashboard's part of the settings file as it is.
    settings = {
        "tcp": {"port": port, "token": "s3cret"},
        "dashboard": {"keys": {"freeze": "f"}},
    }
    with InProcessDaemon() as first, InProcessDaemon(settings=settings) as second:
        app = DashboardApp(ClientSource(first.socket, 0.1), connect=_often)
        async with app.run_test(size=(160, 48)) as pilot:

            async def shown(*words: str) -> None:
                async with asyncio.timeout(LIMIT_S):
                    screen = ""
                    while not all(word in screen for word in words):
                        await pilot.pause(0.02)
                        screen = await screen_text(app, pilot)

            async def connect(address: str) -> None:
                await pilot.press("d")
                app.post_message(Paste(address))
                await pilot.press("enter")

            await shown("● serving", first.socket)
            for address in (second.socket, f"tcp://127.0.0.1:{port}", first.socket):
                await connect(address)
                await shown("● serving", address)
            await connect("/nobody.sock")
            await shown("✖ no daemon", f"back to {first.socket}")
            await pilot.press("d", "enter")
            await shown("● serving", first.socket)


def _often(address: str) -> ClientSource:
    return ClientSource(address, 0.1)
