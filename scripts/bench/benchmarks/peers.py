"""emberd's engine, and other programs with the same weights on the same texts.

Each program runs in an environment and a process of its own, is used as its documentation shows,
and tokenises, too. All of them take turns within one run. The vectors are compared first: float32
must agree to 0.9999, and what computes in fewer bits to 0.999.
"""

from __future__ import annotations

import tempfile
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
from bench.texts import TextMaker

__all__ = ["BENCHMARK"]

_TORCH = "torch==2.13.0"  # its CPU build has this number, too


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A program to compare with; `bar` is of emberd's texts/s over its own."""

    name: str
    packages: tuple[str, ...]
    bar: Bar | None = None
    least_cosine: float = 0.9999


_CANDIDATES = (
    _Candidate("sentence-transformers", (_TORCH, "sentence-transformers"), at_least(1.9)),
    _Candidate("sentence-transformers-bf16", (_TORCH, "sentence-transformers"), least_cosine=0.999),
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
        # The others' threads have normal priority, so ours must not have less here.
        engine = stack.enter_context(
            LocalEngine(bench.model, device="cpu", background_priority=False)
        )
        expected = engine.embed(few)
        peers = []
        for candidate in _CANDIDATES:
            if peer := started(candidate.name, candidate.packages, folder, stack):
                check_agreement(expected, peer.embed(few), least=candidate.least_cosine)
                peers.append((candidate, peer))
        if not peers:
            raise LeftOutError("none of the other programs can be installed here")
        ours_s, *theirs_s = interleaved(
            bench.few_rounds,
            timed(lambda: engine.embed(texts)),
            *[partial(peer.seconds, texts) for _, peer in peers],
        )
    figures = [Figure("emberd, exact", "texts/s", tuple(count / each for each in ours_s))]
    for (candidate, _), seconds in zip(peers, theirs_s, strict=True):
        speeds = tuple(count / each for each in seconds)
        figures += [
            Figure(f"emberd / {candidate.name}", "x", ratios(seconds, ours_s), candidate.bar),
            Figure(candidate.name, "texts/s", speeds),
        ]
    return figures


BENCHMARK = Benchmark(
    "peers",
    "How do other programs do with the same weights and texts?",
    ">= 1.9 sentence-transformers, 2 infinity, 6 fastembed",
    run,
    is_on_request=True,
)
