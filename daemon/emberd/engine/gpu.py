"""A model on a GPU: its graph in float16, a session on CUDA, what fills the device.

Nothing here has been measured on a GPU yet; `scripts/bench --only gpu` does that. What a CPU can
show is tested: the same code with the CPU provider gives the exact vectors.

Left out, and why: ONNX Runtime's Python interface gives no page-locked host memory for the CUDA
provider (1.31), so copies come from ordinary memory; CUDA graphs want fixed addresses and shapes,
and every batch has its own shape.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from emberd.engine.device import Device
from emberd.engine.text import Encoded
from emberd.errors import ModelInvalidError
from emberd.models import StoredModel
from emberd.models.gpu_files import GpuFiles, Measured, has_gpu_graph

if TYPE_CHECKING:
    from emberd.models.bert.gpu_graph import Variant

__all__ = ["BoundRuns", "Feeds", "GpuModel", "fitting_budget", "ragged_rows"]

Feeds = dict[str, NDArray[Any]]

_OUTPUT = "embedding"
_CPU = "CPUExecutionProvider"
_LEAST_COSINE = 0.9999
# Texts x tokens: what single texts and small requests look like, so that the first ones find
# their kernels loaded.
_WARM_SHAPES = ((1, 16), (1, 64), (4, 128), (32, 64))
_WARM_S = 2.0
_BUDGETS = tuple(2_048 << step for step in range(7))  # to 131,072
_BUDGET_WIDTH = 64
_BUDGET_S = 2.0
_BATCH_S = 0.05  # as on a CPU: a query never waits longer for a batch in hand
_ENOUGH = 0.95


class GpuModel:
    """A stored model's session on a CUDA device, tried and warm."""

    def __init__(
        self,
        model: StoredModel,
        device: Device,
        probes: Sequence[Encoded],
        feeds_of: Callable[[Sequence[Encoded], int, set[str]], Feeds],
        variant: Variant = "fused",
    ) -> None:
        """Blocking: a second or so, once seconds more to build the graph and to measure.

        `probes` are a few tokenised texts of different lengths; `feeds_of(rows, width, inputs)`
        makes a session's inputs. Raises what ONNX Runtime raises where it cannot use the device.
        """
        self._model = model
        self._device = device
        self._probes = list(probes)
        self._feeds_of = feeds_of
        self.note = ""
        """Why it does not run in float16; empty where it does."""
        self.batch_tokens = 0
        """Tokens a batch that fill the device; 0 where the settings say how many."""
        if not has_gpu_graph(model):
            self.note = "It is not of the BERT family, so it runs as it was exported."
        elif self._open_narrow(GpuFiles(model, variant), is_plain=variant == "plain"):
            return
        self._open(model.graph, is_final=model.info.family == "bert")
        self._warm_up()
        self.batch_tokens = self._measured_budget()

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """`(n, dim) float32`; from several threads at once."""
        return self._runs.run(feeds)

    def _open(self, source: Path | bytes, *, is_final: bool) -> None:
        self.session = _open_session(source, self._device, is_final=is_final)
        self.inputs = {entry.name for entry in self.session.get_inputs()}
        self._runs = BoundRuns(self.session)

    def _open_narrow(self, files: GpuFiles, *, is_plain: bool) -> bool:
        """The graph in float16; False, with a note, where it cannot be had or is not exact."""
        import onnxruntime  # noqa: PLC0415 - loaded by now

        try:
            source = files.load()
        except ModelInvalidError as exc:
            self.note = exc.message
            return False
        self._open(source, is_final=not is_plain)
        runtime, name = onnxruntime.__version__, self._device.name
        found = files.measured(name, runtime)
        if found is None:
            found = Measured(runtime=runtime, cosine=self._agreement())
            files.remember(name, found)
        if found.cosine < _LEAST_COSINE:
            cosine = f"{found.cosine:.5f}"
            self.note = f"In float16 its vectors are off (cosine {cosine}): it runs in float32."
            return False
        self._warm_up()
        if self._device.is_fitted:
            self.batch_tokens = found.batch_tokens or self._measured_budget()
            if self.batch_tokens != found.batch_tokens:
                files.remember(name, structs.replace(found, batch_tokens=self.batch_tokens))
        return True

    def _agreement(self) -> float:
        """The least cosine to what the exact graph gives on the CPU; 0 where there is none."""
        exact = _open_session(self._model.graph, None, is_final=True)
        inputs = {entry.name for entry in exact.get_inputs()}
        width = max(row.length for row in self._probes)
        wanted = exact.run([_OUTPUT], self._feeds_of(self._probes, width, inputs))[0]
        found = self.run(self._feeds_of(self._probes, width, self.inputs))
        worst = float((wanted * found).sum(axis=1).min())
        return worst if np.isfinite(worst) else 0.0

    def _warm_up(self) -> None:
        end_s = time.perf_counter() + _WARM_S
        for texts, tokens in _WARM_SHAPES:
            if time.perf_counter() < end_s:
                self._seconds(texts, tokens)

    def _measured_budget(self) -> int:
        if not self._device.is_fitted:
            return 0
        width = min(_BUDGET_WIDTH, self._model.info.max_tokens)

        def seconds_of(tokens: int) -> float:
            texts = max(1, tokens // width)
            return min(self._seconds(texts, width) for _ in range(3))

        return fitting_budget(seconds_of)

    def _seconds(self, texts: int, tokens: int) -> float:
        """The time of a batch of made-up texts."""
        width = min(tokens, self._model.info.max_tokens)
        ids = self._probes[0].ids[:4] * width
        rows = [Encoded(ids, width, truncated=False)] * texts
        feeds = self._feeds_of(rows, width, self.inputs)
        started = time.perf_counter()
        self.run(feeds)
        return time.perf_counter() - started


class BoundRuns:
    """Runs with inputs and output in the device's memory. The copies to it are made before the
    device is taken and those back after it is free: so one caller copies while the other's runs."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self._kind = "cpu" if session.get_providers()[0] == _CPU else "cuda"
        self._turn = threading.Lock()
        self._free: list[_Buffers] = []

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """The output, `(n, dim) float32`; from several threads at once."""
        buffers = self._free.pop() if self._free else _Buffers(self._kind)
        binding = self._session.io_binding()
        for name, array in feeds.items():
            buffers.bind(binding, name, array)
        binding.bind_output(_OUTPUT, self._kind, 0)
        with self._turn:
            self._session.run_with_iobinding(binding)
        found: NDArray[np.float32] = binding.copy_outputs_to_cpu()[0]
        self._free.append(buffers)  # after a failure they are let go of
        return found


class _Buffers:
    """Device memory for the inputs of one run at a time, in sizes of powers of two, kept."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._kept: dict[tuple[str, int], tuple[Any, NDArray[Any]]] = {}

    def bind(self, binding: Any, name: str, array: NDArray[Any]) -> None:
        """Copy the array to the device and bind it as that input."""
        value, staged = self._room(name, array)
        staged[: array.size] = array.ravel()
        value.update_inplace(staged)
        binding.bind_input(name, self._kind, 0, array.dtype.type, array.shape, value.data_ptr())

    def _room(self, name: str, array: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
        import onnxruntime  # noqa: PLC0415 - loaded by now

        size = 1 << (array.size - 1).bit_length()
        room = self._kept.get((name, size))
        if room is None:
            staged = np.zeros(size, array.dtype)
            make = onnxruntime.OrtValue.ortvalue_from_shape_and_type
            room = make([size], array.dtype.type, self._kind, 0), staged
            self._kept[name, size] = room
        return room


def fitting_budget(seconds_of: Callable[[int], float]) -> int:
    """Tokens a batch, from the times of batches of several sizes: the fewest that give 95% of the
    best rate, in batches of at most 50 ms.

    `seconds_of(tokens)` runs a batch of so many tokens; where it raises (too little memory) the
    smaller sizes decide. Stops after about two seconds.
    """
    rates: dict[int, float] = {}
    spent_s = 0.0
    for tokens in _BUDGETS:
        try:
            seconds = seconds_of(tokens)
        except Exception:
            if not rates:
                raise
            break
        if rates and seconds > _BATCH_S:
            break
        rates[tokens] = tokens / seconds
        spent_s += seconds
        if spent_s > _BUDGET_S:
            break
    best = max(rates.values())
    return min(tokens for tokens, rate in rates.items() if rate >= _ENOUGH * best)


def ragged_rows(rows: Sequence[Encoded], width: int, pad_id: int) -> Feeds:
    """`input_ids` `(n, width)` and `lengths` `(n,)`, both int32."""
    lengths = np.array([row.length for row in rows], np.int32)
    flat = np.frombuffer(b"".join([row.ids for row in rows]), np.int32)
    if flat.size == len(rows) * width:
        return {"input_ids": flat.reshape(len(rows), width), "lengths": lengths}
    ids = np.full((len(rows), width), pad_id, np.int32)
    ids[np.arange(width) < lengths[:, None]] = flat
    return {"input_ids": ids, "lengths": lengths}


def _open_session(source: Path | bytes, device: Device | None, *, is_final: bool) -> Any:
    """On the device, or on the CPU where there is none. `is_final`: the graph is ours and leaves
    ONNX Runtime nothing to fuse."""
    import onnxruntime as ort  # noqa: PLC0415 - slow to import, and only wanted here

    ort.set_default_logger_severity(4)  # its words reach the user in our errors, not on stderr
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.enable_mem_pattern = False  # kept for every shape ever run, and each batch has its own
    if is_final:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    providers: list[Any] = [_CPU]
    if device is not None and device.provider != _CPU:
        providers.insert(0, (device.provider, _provider_options(device)))
    session = ort.InferenceSession(
        source if isinstance(source, bytes) else str(source), options, providers=providers
    )
    if device is not None and session.get_providers()[0] != device.provider:
        raise RuntimeError(f"ONNX Runtime took the CPU instead of {device.name}")
    session.disable_fallback()  # it would go on on another device and say nothing
    return session


def _provider_options(device: Device) -> dict[str, Any]:
    options: dict[str, Any] = {
        "device_id": 0,
        # The default doubles the arena at each growth, and so takes twice what it needs.
        "arena_extend_strategy": "kSameAsRequested",
        # Else it adds up a row's mean and variance in float16.
        "enable_skip_layer_norm_strict_mode": "1",
    }
    if device.memory_mib:
        options["gpu_mem_limit"] = device.memory_mib << 20
    return options
