"""`emberd top` as a person sees it: a real terminal, a real daemon, a real client's load."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from daemon_process import DaemonProcess
from tmux import Tmux

from emberd.errors import EmberdError

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")

TEXTS = [f"a warm text, number {number}" for number in range(8)]
BUSY = r"│ busy-client +\d+ +(unix +)?[1-9]"  # its row on the overview, with its texts/s
TOP = shlex.join([sys.executable, "-m", "emberd", "top"])


@contextmanager
def load(daemon: DaemonProcess, name: str) -> Iterator[None]:
    """A client of this name that asks for the same texts all the time, whoever dies meanwhile."""
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.wait(0.05):
            try:
                with daemon.client(name=name, retries=0) as client:
                    while not is_over.wait(0.02):
                        client.embed(TEXTS)
            except EmberdError:
                pass  # the daemon is away

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_a_person_watches_a_daemon_from_its_work_to_its_death_and_back(
    daemon: DaemonProcess,
) -> None:
    with daemon.client() as client:
        client.upsert("recipes", ["a", "b"], ["How to bake bread.", "How to boil an egg."])
    # Some parents export the size of their own terminal: it must not hold the dashboard to it.
    home = {"EMBERD_HOME": str(daemon.home), "COLUMNS": "80", "LINES": "24"}
    with (
        load(daemon, "busy-client"),
        Tmux(daemon.home, home, width=80, height=24) as terminal,
    ):
        terminal.type(f"echo before; {TOP}; echo left with $?")
        terminal.press("Enter")
        screen = terminal.shown("● serving", "[1 Overview]", line=BUSY)
        assert "─ Events ─" not in screen

        terminal.resize(160, 48)
        terminal.shown("─ Events ─", line=BUSY)

        terminal.press("2")
        terminal.shown("[2 Requests]", line="busy-client +embed +8 ")
        terminal.press("4")
        terminal.shown("[4 Index]", "▸recipes")
        terminal.press("5")
        terminal.shown("[5 Plugins]", "limits")
        terminal.press("6")
        terminal.shown("[6 Logs]", "daemon.ready")
        terminal.press("3")
        terminal.shown("[3 Cache]", "memory")
        terminal.press("i")
        terminal.type(TEXTS[0])
        terminal.press("Enter")
        terminal.shown("● cached", "● memory", TEXTS[0])

        terminal.press("1", "Space")
        terminal.shown("FROZEN")
        terminal.press("Space")
        terminal.shown("● serving", without="FROZEN")

        daemon.stop(signal.SIGKILL)
        assert "busy-client" in terminal.shown("✖ lost", "retry in")
        assert daemon.start()["state"] == "ready"
        terminal.shown("● serving", f"pid {daemon.pid}", line=BUSY)

        # Where a full-screen program ends at another width, tmux itself leaves rows of it behind.
        terminal.resize(80, 24)
        terminal.shown("● serving", without="─ Events ─")
        assert terminal.mode("alternate_on")
        terminal.press("q")
        screen = terminal.shown("before", "left with 0")
        assert "Overview" not in screen
        assert terminal.mode("cursor_flag")
        assert not terminal.mode("alternate_on")
        assert not terminal.mode("mouse_any_flag")
        terminal.type("echo $((40 + 2))")
        terminal.press("Enter")
        terminal.shown("\n42\n")
