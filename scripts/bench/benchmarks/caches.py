"""Cached vectors from emberd, and from what people put in front of a model by hand.

emberd is asked over its socket; LangChain's CacheBackedEmbeddings over its store of files and
diskcache are libraries in the asking process; a server of aiohttp speaks JSON. None of them
computes anything in the turns that are timed.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.benchmark import Bench, Benchmark, LeftOutError
from bench.daemon import serving
from bench.figures import Bar, Figure, at_least, ratios
from bench.pairs import interleaved, timed
from bench.peers.process import Peer, started
from bench.texts import TextMaker

__all__ = ["BENCHMARK"]

_PEERS: dict[str, tuple[tuple[str, ...], Bar | None]] = {
    "langchain": (("langchain-classic", "numpy"), at_least(20)),
    "diskcache": (("numpy", "diskcache"), None),
    "http-json": (("numpy", "aiohttp"), None),
}
_SIZES = (1, 64, 1_000)
_BAR_SIZE = 64
_CALLS = 1_000  # texts of one turn, whatever a call has


def run(bench: Bench) -> list[Figure]:
    maker = TextMaker(12)
    figures: list[Figure] = []
    with ExitStack() as stack:
        _, client = stack.enter_context(serving(bench.model, *bench.settings))
        peers: list[Peer] = []
        for name, (packages, _) in _PEERS.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emberd-bench")))
            if peer := started(name, packages, folder, stack):
                peers.append(peer)
        if not peers:
            raise LeftOutError("none of the other caches can be installed here")
        for size in _SIZES:
            texts, repeats = maker.mixed(size, longest=64), max(_CALLS // size, 3)
            client.embed(texts, timeout_s=None)
            ours_s, *theirs_s = interleaved(
                bench.rounds,
                timed(partial(client.embed, texts), repeats),
                *[partial(peer.seconds, texts, repeats) for peer in peers],
            )
            words = f"{size:,} texts" if size > 1 else "one text"
            for peer, seconds in zip(peers, theirs_s, strict=True):
                bar = _PEERS[peer.name][1] if size == _BAR_SIZE else None
                figures.append(
                    Figure(f"{peer.name} / emberd, {words}", "x", ratios(seconds, ours_s), bar)
                )
    return figures


BENCHMARK = Benchmark(
    "caches",
    "How do other caches do that people put before a model?",
    ">= 20 times LangChain's",
    run,
    is_on_request=True,
)
