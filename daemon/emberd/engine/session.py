"""A stored model under ONNX Runtime: one session that every caller runs.

On a CPU the session has one thread and the callers are the parallelism: that beats one run on all
cores (302 texts/s against 235 on two), and no pool of the runtime's own spins beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emberd.engine.device import Device
from emberd.engine.gpu import Feeds, GpuModel, ragged_rows
from emberd.engine.text import Encoded, Truncate
from emberd.engine.tokenizer import TextTokenizer
from emberd.errors import EmberdError, ModelLoadFailedError
from emberd.models import StoredModel, split_name

if TYPE_CHECKING:
    from emberd.models.bert.gpu_graph import Variant

__all__ = ["OnnxBackend", "padded_rows"]

_OUTPUT = "embedding"
_WIDE_THREADS = 4
_WIDE_BYTES = 256 << 20
# Of different lengths, so that padding is among what is compared.
_PROBES = ["emberd", "The daemon keeps embeddings warm.", "A longer text with other words. " * 6]
_OUT_OF_MEMORY = ("out of memory", "failed to allocate", "bad_alloc", "cuda_error_out_of_memory")


class OnnxBackend:
    """A loaded model (an `EmbedderBackend`)."""

    def __init__(self, model: StoredModel, device: Device, *, variant: Variant = "fused") -> None:
        """Load and try the model; blocking, for tenths of a second on a CPU.

        `variant` is the form of the graph on a GPU. Raises ModelLoadFailedError where the files
        cannot be loaded or do not give embeddings.
        """
        if model.info.precision == "int8" and device.kind != "cpu":
            raise ModelLoadFailedError(
                f"{model.info.name} computes in int8, which is for a CPU, and the engine runs on "
                f"{device.name}. Use {split_name(model.info.name)[0]}, or set engine.device to "
                '"cpu".',
                details={"model": model.info.name, "device": device.kind},
            )
        self.dim = model.info.dim
        self.batch_tokens = 0
        self.note = ""
        self._tokenizer = TextTokenizer(model.tokenizer, model.info.max_tokens)
        self.part_chars = self._tokenizer.part_chars()
        self._gpu = self._open_gpu(model, device, variant) if device.kind == "cuda" else None
        self._session = self._gpu.session if self._gpu else _open(model, threads=device.threads)
        self.provider: str = self._session.get_providers()[0]
        self._wide = _open_wide(model, device)
        self._inputs = {entry.name for entry in self._session.get_inputs()}
        self.equal_only = self._inputs.isdisjoint({"attention_mask", "lengths"})
        self._check(model)

    def encode(self, texts: Sequence[str], truncate: Truncate) -> list[Encoded | EmberdError]:
        return self._tokenizer.encode(texts, truncate)

    def count(self, texts: Sequence[str]) -> list[int | EmberdError]:
        return self._tokenizer.count(texts)

    def embed(
        self, rows: Sequence[Encoded], width: int, *, alone: bool = False
    ) -> NDArray[np.float32]:
        """`(len(rows), dim) float32`, rows L2-normalised."""
        feeds = self._feeds(rows, width, self._inputs)
        if self._gpu is not None:
            return self._gpu.run(feeds)
        session = self._wide if alone and self._wide is not None else self._session
        found: NDArray[np.float32] = session.run([_OUTPUT], feeds)[0]
        return found

    def is_out_of_memory(self, error: BaseException) -> bool:
        """ONNX Runtime has no class for it: its words must do."""
        words = str(error).lower()
        return isinstance(error, MemoryError) or any(sign in words for sign in _OUT_OF_MEMORY)

    def close(self) -> None:
        self._session = self._wide = self._gpu = None

    def _feeds(self, rows: Sequence[Encoded], width: int, inputs: set[str]) -> Feeds:
        if "lengths" in inputs:
            return ragged_rows(rows, width, self._tokenizer.pad_id)
        ids, mask = padded_rows(rows, width, self._tokenizer.pad_id)
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: feeds[name] for name in inputs}

    def _open_gpu(self, model: StoredModel, device: Device, variant: Variant) -> GpuModel:
        probes = [row for row in self._tokenizer.encode(_PROBES, "end") if isinstance(row, Encoded)]
        try:
            gpu = GpuModel(model, device, probes, self._feeds, variant)
        except Exception as exc:
            raise _load_failed(model, str(exc)) from exc
        self.batch_tokens, self.note = gpu.batch_tokens, gpu.note
        return gpu

    def _check(self, model: StoredModel) -> None:
        """One short run: a graph that is no embedding model must fail here, not for each text."""
        probe = self._tokenizer.encode(["emberd"], "end")[0]
        if isinstance(probe, EmberdError):
            raise _load_failed(model, probe.message)
        try:
            found = self.embed([probe], probe.length)
        except Exception as exc:
            raise _load_failed(model, str(exc)) from exc
        if found.shape != (1, self.dim) or found.dtype != np.float32:
            raise _load_failed(
                model, f"it gives {found.dtype}{list(found.shape)}, not float32[1, {self.dim}]"
            )


def padded_rows(
    rows: Sequence[Encoded], width: int, pad_id: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids and attention mask, both `(len(rows), width) int64`."""
    if all(row.length == width for row in rows):
        flat = np.frombuffer(b"".join([row.ids for row in rows]), np.int32)
        ids = flat.reshape(len(rows), width).astype(np.int64)
        return ids, np.ones_like(ids)
    ids = np.full((len(rows), width), pad_id, np.int64)
    for index, row in enumerate(rows):
        ids[index, : row.length] = np.frombuffer(row.ids, np.int32)
    lengths = np.array([row.length for row in rows])
    mask = (np.arange(width) < lengths[:, None]).astype(np.int64)
    return ids, mask


def _open_wide(model: StoredModel, device: Device) -> Any:
    """A second session for a text that is alone: 3.3 ms where one core takes 5.2 (8 tokens), 14
    where it takes 24 (128 tokens). It holds a second copy of the weights, hence the limit."""
    threads = min(device.callers, _WIDE_THREADS)
    if device.kind != "cpu" or device.threads > 1 or threads < 2 or model.size_bytes > _WIDE_BYTES:
        return None
    return _open(model, threads=threads)


def _open(model: StoredModel, *, threads: int) -> Any:
    # 40 ms and 60 MB that a daemon without a model need not spend.
    import onnxruntime as ort  # noqa: PLC0415

    ort.set_default_logger_severity(4)  # its words reach the user in our errors, not on stderr
    try:
        session = ort.InferenceSession(
            str(model.graph), _options(ort, model, threads), providers=["CPUExecutionProvider"]
        )
    except Exception as exc:
        raise _load_failed(model, str(exc)) from exc
    session.disable_fallback()  # it would go on on another device and say nothing
    return session


def _options(ort: Any, model: StoredModel, threads: int) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that sleep between operators gain nothing on a short text; threads that go on
    # spinning after the run cost 20 ms of a core each time.
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(threads > 1)))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    # A pattern is kept for every shape that was ever run, and every batch has its own.
    options.enable_mem_pattern = False
    if model.info.family == "bert":  # ours are in final form; optimising them costs load time
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _load_failed(model: StoredModel, reason: str) -> ModelLoadFailedError:
    return ModelLoadFailedError(
        f"The model {model.info.name} cannot be loaded: {reason}. Remove it and pull it again.",
        details={"model": model.info.name, "fingerprint": model.info.fingerprint},
    )
