"""kill -9 while documents are written, the vectors' file rewritten and the graph saved: what was
acknowledged is there, whole, once, and nothing that was deleted comes back."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
from index_child import SETTINGS, TASKS, content, ids_of, operation
from index_helpers import Graphs, Told, opened, unit

ROUNDS = 30
NOTHING = None


class Model:
    """What may be stored: for each document the state that was acknowledged, and what the one
    operation that was begun and not acknowledged may have made of it."""

    def __init__(self) -> None:
        self.states: dict[str, int | None] = {
            name: NOTHING for task in range(TASKS) for name in ids_of(task)
        }
        self.open: dict[int, int] = {}

    def begin(self, task: int, seed: int) -> None:
        self.open[task] = seed

    def done(self, task: int, seed: int) -> None:
        assert self.open.pop(task) == seed
        self.states |= self.effect(task, seed)

    def effect(self, task: int, seed: int) -> dict[str, int | None]:
        kind, ids = operation(seed, task)
        states = {"upsert": seed, "delete": NOTHING}
        return dict.fromkeys(ids, states[kind]) if kind in states else {}

    def settle(self, found: dict[str, int | None]) -> None:
        """The stored state must be one that may be: an open operation is there as a whole or
        not at all."""
        for task in range(TASKS):
            before = {name: self.states[name] for name in ids_of(task)}
            possible = [before]
            if task in self.open:
                possible.append(before | self.effect(task, self.open[task]))
            assert {name: found[name] for name in before} in possible
        self.states, self.open = found, {}


async def stored(folder: Path) -> dict[str, int | None]:
    """Which operation each document is by; asserts that each is whole and found by its vector."""
    told = Told([])
    names = [name for task in range(TASKS) for name in ids_of(task)]
    found: dict[str, int | None] = {}
    async with opened(folder, settings=SETTINGS, graph=Graphs(), told=told) as c:
        documents = await c.get("docs", names, ["text", "metadata", "vector"])
        for name, document in zip(names, documents, strict=True):
            found[name] = None if document is None else document.metadata["by"]
            if document is not None:
                seed, text, metadata = content(found[name], name)
                assert (document.text, document.metadata) == (text, metadata)
                np.testing.assert_array_equal(document.vector, unit(seed)[0])
        there = [name for name in names if found[name] is not None]
        assert len((await c.scan("docs", limit=1_000))[0]) == len(there)
        if there:
            queries = unit(*(content(found[name], name)[0] for name in there))
            hits = await c.search("docs", queries, 1)
            assert [each[0].id for each in hits] == there
            assert len((await c.search("docs", queries[:1], 1_000))[0]) == len(there)
        assert (await c.check("docs")).is_sound
    assert not [note for note in told.notes if note[1] == "index.damaged"]
    return found


async def test_thirty_kills_lose_nothing_that_was_acknowledged(folder):
    chance = random.Random(7)
    model = Model()
    child = start_child(folder)
    try:
        for number in range(ROUNDS):
            child.stdin.write(f"{number}\n")
            read_round(child, model, deadline=chance.randrange(4, 60))
            model.settle(await stored(folder))
        assert sum(state is not None for state in model.states.values()) > 20
    finally:
        child.kill()
        child.communicate()


def start_child(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("index_child.py")), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def read_round(child, model, deadline) -> None:
    """Listen to a writer, kill it after so many lines, and hear its last words."""
    pid = None
    lines = 0
    while (line := child.stdout.readline().split()) != ["dead"]:
        assert line, "the writer failed"
        match line[0]:
            case "pid":
                pid = int(line[1])
            case "begin":
                model.begin(int(line[1]), int(line[2]))
            case "done":
                model.done(int(line[1]), int(line[2]))
        lines += 1
        if pid is not None and lines >= deadline:
            os.kill(pid, signal.SIGKILL)
            deadline = 1 << 60
