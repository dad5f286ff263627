"""The engine on a CUDA device: the forms of its graph, and sentence-transformers in float16.

All of them tokenise, run in turns on the same texts, and must give the exact vectors first (to
0.9999; the other program, which adds up differently, to 0.999). The work of a text of n tokens is
counted as 2 operations for each weight of the layers and token, and 4 n hidden for each layer's
attention and token; padding, embeddings and pooling count for nothing.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.agree import DisagreementError, check_agreement
from bench.benchmark import Bench, Benchmark, LeftOutError
from bench.engine import LocalEngine
from bench.figures import Figure, at_least, ratios
from bench.pairs import interleaved, latencies, timed
from bench.peers.folder import write_model_folder
from bench.peers.process import Peer, started
from bench.texts import TextMaker
from emberd.config import EngineSettings
from emberd.engine.device import choose_device
from emberd.models import StoredModel
from emberd.models.bert.gpu_graph import VARIANTS, Variant
from emberd.models.info import CONFIG_FILE
from emberd.models.running import token_ids

__all__ = ["BENCHMARK", "flops", "token_counts"]

_OURS: Variant = "fused"
_LENGTHS = (16, 64, 128, 256, 512)
_LENGTH_TOKENS = 262_144  # of one sample at one length
_PEER = "sentence-transformers-cuda-fp16"
_PACKAGES = ("torch", "sentence-transformers")


def run(bench: Bench) -> list[Figure]:
    device = choose_device(EngineSettings(device="cuda"))
    if device.kind != "cuda":
        raise LeftOutError(f"there is no CUDA device here ({device.note})")
    maker = TextMaker(19)
    texts, few = maker.mixed(bench.size(16_384, 2_048)), maker.mixed(64)
    with ExitStack() as stack:
        with LocalEngine(bench.model, device="cpu") as exact:
            expected = exact.embed(few)
        engines = _engines(bench, few, expected, stack)
        if _OURS not in engines:
            raise RuntimeError(f"the graph {_OURS!r} does not run; see above")
        peer = _peer(bench.model, few, expected, stack)
        *ours_s, theirs_s = interleaved(
            bench.rounds,
            *[timed(partial(engine.embed, texts)) for engine in engines.values()],
            (lambda: peer.seconds(texts)) if peer else (lambda: 0.0),
        )
        figures = []
        seconds = dict(zip(engines, ours_s, strict=True))
        if peer:
            ratio = ratios(theirs_s, seconds[_OURS])
            figures.append(Figure(f"emberd / {_PEER}", "x", ratio, at_least(1)))
            figures.append(_rate(_PEER, texts, theirs_s))
        for variant in engines:
            figures += _speeds(bench, f"mixed, {variant}", texts, seconds[variant])
        (alone_s,) = interleaved(bench.rounds, timed(partial(engines[_OURS].tokenise, texts)))
        figures.append(_rate("tokenising alone", texts, alone_s))
        figures += _by_length(bench, maker, engines[_OURS])
        calls = [partial(engines[_OURS].embed, [maker.text(16)]) for _ in range(200)]
        median_s, p99_s = latencies(calls)
        figures.append(Figure("one new text in process, median", "ms", (1e3 * median_s,)))
        figures.append(Figure("one new text in process, p99", "ms", (1e3 * p99_s,)))
    return figures


def token_counts(model: StoredModel, texts: Sequence[str]) -> NDArray[np.int64]:
    """Tokens that the model reads of each text, `(n,)`."""
    return np.array([len(ids) for ids in token_ids(model.tokenizer, texts, model.info.max_tokens)])


def flops(model: StoredModel, tokens: NDArray[np.int64]) -> float:
    """Floating-point operations of the layers for texts of so many tokens each."""
    config = json.loads((model.folder / CONFIG_FILE).read_bytes())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    weights = 4 * hidden * hidden + 2 * hidden * inner
    lengths = tokens.astype(np.float64)
    a_layer = 2 * weights * lengths + 4 * hidden * lengths**2
    return float(config["num_hidden_layers"] * a_layer.sum())


def _engines(
    bench: Bench, few: Sequence[str], expected: NDArray[np.float32], stack: ExitStack
) -> dict[Variant, LocalEngine]:
    """One engine a form of the graph; without those that do not run here, which is told."""
    found: dict[Variant, LocalEngine] = {}
    for variant in VARIANTS:
        own = stack.enter_context(ExitStack())
        try:
            engine = own.enter_context(LocalEngine(bench.model, device="cuda", variant=variant))
            check_agreement(expected, engine.embed(few))
        except (RuntimeError, DisagreementError) as exc:
            own.close()
            print(f"\n  without {variant}: {exc}", file=sys.stderr, flush=True)
        else:
            found[variant] = engine
    return found


def _peer(
    model: StoredModel, few: Sequence[str], expected: NDArray[np.float32], stack: ExitStack
) -> Peer | None:
    """The other program: of this Python where it has it, since PyTorch for CUDA is a large thing
    to install twice, else in an environment of its own."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emberd-bench")))
    write_model_folder(model, folder)
    if importlib.util.find_spec("sentence_transformers"):
        peer: Peer | None = stack.enter_context(Peer(Path(sys.executable), _PEER, folder))
    else:
        peer = started(_PEER, _PACKAGES, folder, stack)
    if peer is not None:
        check_agreement(expected, peer.embed(few), least=0.999)
    return peer


def _by_length(bench: Bench, maker: TextMaker, engine: LocalEngine) -> list[Figure]:
    figures = []
    for length in _LENGTHS:
        if length > bench.model.info.max_tokens:
            continue
        count = bench.size(_LENGTH_TOKENS, _LENGTH_TOKENS // 8) // length
        texts = [maker.text(length) for _ in range(count)]
        (seconds,) = interleaved(bench.few_rounds, timed(partial(engine.embed, texts)))
        figures += _speeds(bench, f"{length} tokens, {_OURS}", texts, seconds)
    return figures


def _speeds(
    bench: Bench, name: str, texts: Sequence[str], seconds: Sequence[float]
) -> list[Figure]:
    """Texts, tokens and operations a second, and the share of the card's peak where it is known."""
    tokens = token_counts(bench.model, texts)
    teraflops = flops(bench.model, tokens) / 1e12
    achieved = tuple(teraflops / each for each in seconds)
    figures = [
        _rate(name, texts, seconds),
        Figure(f"{name}", "tokens/s", tuple(int(tokens.sum()) / each for each in seconds)),
        Figure(f"{name}", "TFLOP/s", achieved),
    ]
    if bench.peak_tflops:
        shares = tuple(100 * each / bench.peak_tflops for each in achieved)
        figures.append(Figure(f"{name}, of the peak", "%", shares))
    return figures


def _rate(name: str, texts: Sequence[str], seconds: Sequence[float]) -> Figure:
    return Figure(name, "texts/s", tuple(len(texts) / each for each in seconds))


BENCHMARK = Benchmark(
    "gpu",
    "What does the engine reach on a CUDA device, and which form of the graph is best?",
    "faster than sentence-transformers in float16",
    run,
    is_on_request=True,
)
