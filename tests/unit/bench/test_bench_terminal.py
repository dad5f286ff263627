"""A program in a terminal: what it draws is counted and waited for, and it is gone afterwards."""

from __future__ import annotations

import sys

import psutil
import pytest
from bench import terminal
from bench.terminal import Terminal

PROGRAM = """
import os, sys, tty
tty.setraw(0)
print(os.get_terminal_size(), flush=True)
while key := sys.stdin.read(1):
    sum(range(3_000_000))  # more than the 10 ms that processor time is counted in
    print(f"<{key}>", flush=True)
"""
COMMAND = [sys.executable, "-u", "-c", PROGRAM]


def test_a_program_draws_and_is_typed_to() -> None:
    with Terminal(COMMAND, {}) as shown:
        first_s = shown.wait_for("columns=160", "lines=48)\n")
        before, cpu_s = shown.size_bytes, shown.cpu_s()
        shown.press("a")
        assert shown.wait_for("<a>\n") >= first_s > 0
        assert shown.size_bytes - before == len("<a>\r\n") - 1  # raw: no carriage return
        assert shown.cpu_s() > cpu_s


def test_the_order_counts_and_waiting_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "_WAIT_S", 0.1)
    with Terminal(COMMAND, {}) as shown, pytest.raises(RuntimeError, match="has not drawn"):
        shown.wait_for("lines=48", "columns=160")


def test_it_ends_with_the_block() -> None:
    before = set(psutil.Process().children())
    with Terminal(COMMAND, {}) as shown:
        shown.wait_for("columns")
        assert len(set(psutil.Process().children()) - before) == 1
    assert set(psutil.Process().children()) == before
