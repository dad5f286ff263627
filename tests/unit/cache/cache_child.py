"""What the fault tests run in processes of their own: `python cache_child.py ACTION ARGUMENT...`.

Each prints what a test needs to know, one line at a time, flushed.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import sys
from itertools import count
from pathlib import Path

from cache_helpers import key, pairs, value

from emberd.cache.disk import LmdbOptions, LmdbTier
from emberd.errors import CacheUnavailableError

MIB = 1 << 20


def say(*words: object) -> None:
    print(*words, flush=True)


def write_for_ever(folder: str, name: str) -> None:
    """Says each batch that was written, until it is killed."""
    tier = LmdbTier.open(Path(folder), LmdbOptions(budget_bytes=64 * MIB))
    for batch in count():
        names = [(name, batch, number) for number in range(37)]
        tier.set_many("n", pairs(names))
        tier.get_many("n", [key(each) for each in names[::5]])
        say(batch)


def fill_a_full_disk(folder: str) -> None:
    """RLIMIT_FSIZE stands in for the disk: a write past it fails."""
    now = [0.0]
    tier = LmdbTier.open(Path(folder), LmdbOptions(budget_bytes=64 * MIB, monotonic=lambda: now[0]))
    tier.set_many("n", pairs(range(100)))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
    written = 100
    try:
        while True:
            tier.set_many("n", pairs(range(written, written + 100)))
            written += 100
    except CacheUnavailableError as exc:
        say("refused", exc.message)
    say("state", tier.stats().state, tier.stats().message)
    kept = tier.get_many("n", [key(name) for name in range(written)])
    say("kept", kept == [value(name) for name in range(written)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    try:
        tier.set_many("n", pairs(["too soon"]))
    except CacheUnavailableError:
        say("paused")
    now[0] += 5
    tier.set_many("n", pairs(["again"]))
    say("state", tier.stats().state, tier.get_many("n", [key("again")]) == [value("again")])
    tier.close()


def fork(folder: str) -> None:
    """The child of a fork must not touch the environment that it inherited."""
    tier = LmdbTier.open(Path(folder), LmdbOptions(budget_bytes=MIB))
    tier.set_many("n", pairs([1]))
    child = os.fork()
    if not child:
        for call in (
            lambda: tier.get_many("n", [key(1)]),
            lambda: tier.set_many("n", pairs([2])),
            tier.clear,
        ):
            try:
                call()
            except CacheUnavailableError as exc:
                say("child", exc.message)
        tier.close()
        os._exit(0)
    os.waitpid(child, 0)
    tier.set_many("n", pairs([3]))
    say("parent", tier.get_many("n", [key(1), key(3)]) == [value(1), value(3)])
    tier.close()


def truncate(folder: str) -> None:
    """Open copies of a data directory cut at many sizes."""
    size = (Path(folder) / "lmdb" / "data.mdb").stat().st_size
    edges = {edge + by for edge in range(0, size, 4_096) for by in (-1, 0, 100)}
    for cut in sorted(edge for edge in edges if 0 <= edge < size):
        _try_damaged(folder, cut, lambda data, cut=cut: data[:cut])


def flip(folder: str) -> None:
    """Open copies of a data directory with one bit the other way round."""
    size = (Path(folder) / "lmdb" / "data.mdb").stat().st_size
    chance = random.Random(3)
    metas = [*range(0, 160, 3), *range(4_096, 4_096 + 160, 3)]
    headers = [page * 4_096 + chance.randrange(40) for page in range(2, size // 4_096)]
    anywhere = [chance.randrange(size) for _ in range(120)]
    for at in (*metas, *headers, *anywhere):
        bit = 1 << chance.randrange(8)
        _try_damaged(folder, at, lambda data, at=at, bit=bit: _flipped(data, at, bit))


def _flipped(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :]


def _insist(run) -> None:
    """What the check at the opening did not see, LMDB may: then the next attempt finds a new
    file."""
    try:
        run()
    except CacheUnavailableError:
        run()


def _try_damaged(folder: str, at: int, damage) -> None:
    say("at", at)  # the last line of a child that crashed
    copy = Path(folder).with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    file = copy / "lmdb" / "data.mdb"
    file.write_bytes(damage(file.read_bytes()))
    tier = LmdbTier.open(copy, LmdbOptions(budget_bytes=2 * MIB))
    names = list(range(150))
    found = tier.get_many("n", [key(name) for name in names])
    wrong = [name for name in names if found[name] not in (None, value(name))]
    _insist(lambda: tier.set_many("n", pairs([*range(100, 200)])))
    written = tier.get_many("n", [key(name) for name in range(100, 200)])
    _insist(lambda: tier.clear("n"))
    tier.close()
    say("read", len(names) - found.count(None), "wrong", len(wrong), "lost", written.count(None))


ACTIONS = {
    action.__name__: action for action in (write_for_ever, fill_a_full_disk, fork, truncate, flip)
}

if __name__ == "__main__":
    ACTIONS[sys.argv[1]](*sys.argv[2:])
