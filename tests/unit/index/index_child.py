"""A process that writes to collections until it is killed: `python index_child.py FOLDER`.

Each line `N` on stdin starts writer number N, a fork of this process, so that thirty rounds import
NumPy once. A writer says what it begins and what was acknowledged; this process says when it died.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # this process forks, so it has one thread

import asyncio
import json
import random
import resource
import sys
from pathlib import Path

from index_helpers import Graphs, Told, collection, many, unit

from emberd.config import IndexSettings
from emberd.errors import StorageError

TASKS = 4
IDS_OF_A_TASK = 25
SETTINGS = IndexSettings(exact_below=20, checkpoint_s=0.0, probe_s=0)


def say(*words: object) -> None:
    """In one write: a kill leaves a whole line or none."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def ids_of(task: int) -> list[str]:
    return [f"{task}-{number}" for number in range(IDS_OF_A_TASK)]


def operation(seed: int, task: int) -> tuple[str, list[str]]:
    """What the operation of this number does, for the writer and for the test."""
    chance = random.Random(seed)
    kind = chance.choices(["upsert", "delete", "rebuild"], [6, 2, 1])[0]
    return kind, chance.sample(ids_of(task), chance.randrange(1, 12))


def content(seed: int, doc_id: str) -> tuple[int, str, dict]:
    """Seed of the vector, text and metadata that an operation gives a document."""
    return seed * 1_000 + int(doc_id.split("-")[1]), f"text of {doc_id} by {seed}", {"by": seed}


async def write(folder: str, number: int) -> None:
    async with collection(Path(folder), settings=SETTINGS, graph=Graphs(), told=Told([])) as c:
        await asyncio.gather(*(write_as(c, number, task) for task in range(TASKS)))


async def write_as(c, number: int, task: int) -> None:
    for count in range(1_000_000):
        seed = (number * 10_000 + count) * TASKS + task
        kind, ids = operation(seed, task)
        say("begin", task, seed)
        if kind == "upsert":
            contents = [content(seed, each) for each in ids]
            await c.upsert(
                "docs",
                ids,
                unit(*(vector for vector, _, _ in contents)),
                [text for _, text, _ in contents],
                [metadata for _, _, metadata in contents],
            )
        elif kind == "delete":
            await c.delete("docs", ids)
        else:
            await c.rebuild("docs")
        say("done", task, seed)


def fill_a_full_disk() -> None:
    """Write until the disk takes no more, read, make room, write again; says it all as JSON."""

    async def fill(folder: Path, limit: int) -> dict[str, object]:
        async with collection(folder) as c:
            await c.info("docs")
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            written = 0
            while True:
                try:
                    ids = [f"d{written + number}" for number in range(50)]
                    await c.upsert("docs", ids, many(50, seed=written), ["word " * 40] * 50)
                except StorageError as exc:
                    failure = exc
                    break
                written += 50
            read = len((await c.scan("docs", limit=100_000))[0])
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            await c.upsert("docs", ["one more"], many(1))
            after = len((await c.scan("docs", limit=100_000))[0])
        return {
            "code": failure.code,
            "message": failure.message,
            "written": written,
            "read": read,
            "after": after,
        }

    done = asyncio.run(fill(Path(sys.argv[1]), int(sys.argv[2]) << 10))
    print(json.dumps(done))


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(write(sys.argv[1], int(line)))
            os._exit(0)
        say("pid", pid)
        os.waitpid(pid, 0)
        say("dead")


if __name__ == "__main__":
    main()
