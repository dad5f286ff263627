"""A model's graph for a GPU, built from its weights once and kept beside them.

`model.cuda.VARIANT.onnx` and its record, `model.cuda.VARIANT.json`, lie in the model's folder and
are no part of its `emberd.json`: they can be deleted at any time, and are built anew. A store that
cannot be written to is no failure; then they are built at each load and kept in memory.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from emberd.errors import ModelInvalidError
from emberd.models.bert.config import read_bert_config
from emberd.models.files import sha256_of, sync
from emberd.models.info import CONFIG_FILE, WEIGHTS_FILE, StoredModel
from emberd.models.recipe import read_json
from emberd.models.safetensors import SafeTensors

if TYPE_CHECKING:
    from emberd.models.bert.gpu_graph import Variant

__all__ = ["GpuFiles", "Measured", "has_gpu_graph"]

# Raised with every change of the graph; older files are then built anew.
_BUILDER = 1
_MOST_BYTES = (2 << 30) - (16 << 20)  # of a serialised ONNX model, weights inside


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out on one kind of device."""

    runtime: str
    """The version of ONNX Runtime that it was found out with."""
    cosine: float
    """The least cosine to the exact vectors of a few texts."""
    batch_tokens: int = 0
    """Tokens a batch that fill the device; 0 where that was not measured."""


class _Record(msgspec.Struct, frozen=True, kw_only=True):
    builder: int
    weights_sha256: str
    graph_sha256: str
    devices: dict[str, Measured] = {}
    """By the device's name."""


def has_gpu_graph(model: StoredModel) -> bool:
    """Whether a graph for a GPU can be built: of the BERT family, and in its full precision."""
    is_exact_bert = model.info.family == "bert" and model.info.precision == "exact"
    return is_exact_bert and (model.folder / WEIGHTS_FILE).is_file()


class GpuFiles:
    """One model's graph of one variant, and what was measured with it."""

    def __init__(self, model: StoredModel, variant: Variant = "fused") -> None:
        self._model = model
        self._variant = variant
        self._graph = model.folder / f"model.cuda.{variant}.onnx"
        self._place = self._graph.with_suffix(".json")
        self._record: _Record | None = None

    def load(self) -> Path | bytes:
        """The graph: a file that is whole, or a serialised model where nothing can be written.

        Builds it where there is none (about a second for 22 million weights), or where it is not
        of these weights or damaged. Raises ModelInvalidError where the model does not fit float16.
        """
        self._record = self._read()
        if self._record is not None:
            return self._graph
        content = self._build()
        self._record = _Record(
            builder=_BUILDER,
            weights_sha256=self._model.info.weights_sha256,
            graph_sha256=hashlib.sha256(content).hexdigest(),
        )
        try:
            _replace(self._graph, content)
            self._keep(self._record)
        except OSError:
            return content
        return self._graph

    def measured(self, device: str, runtime: str) -> Measured | None:
        """What is known of this graph on that device; after `load`."""
        found = self._record.devices.get(device) if self._record else None
        return found if found and found.runtime == runtime else None

    def remember(self, device: str, measured: Measured) -> None:
        """Keep it with the graph, where that can be written; after `load`."""
        if self._record is None:
            return
        devices = {**self._record.devices, device: measured}
        self._record = msgspec.structs.replace(self._record, devices=devices)
        with suppress(OSError):
            if self._graph.is_file():
                self._keep(self._record)

    def _read(self) -> _Record | None:
        """The record of a graph that is whole and of these weights; None else."""
        try:
            record = msgspec.json.decode(self._place.read_bytes(), type=_Record)
            wanted = (_BUILDER, self._model.info.weights_sha256, sha256_of(self._graph))
        except (OSError, msgspec.MsgspecError):
            return None
        found = (record.builder, record.weights_sha256, record.graph_sha256)
        return record if found == wanted else None

    def _keep(self, record: _Record) -> None:
        _replace(self._place, msgspec.json.format(msgspec.json.encode(record)) + b"\n")

    def _build(self) -> bytes:
        # onnx comes with it, which no load but the first needs.
        from emberd.models.bert.gpu_graph import build_gpu_graph  # noqa: PLC0415

        folder, info = self._model.folder, self._model.info
        config = read_bert_config(read_json(folder / CONFIG_FILE))
        with SafeTensors(folder / WEIGHTS_FILE) as weights:
            if sum(slot.size for slot in weights.slots.values()) // 2 > _MOST_BYTES:
                raise ModelInvalidError(
                    f"{info.name} is too large for one ONNX file of 2 GiB in float16. It runs in "
                    "float32."
                )
            graph = build_gpu_graph(config, weights, info.pooling, variant=self._variant)
        content: bytes = graph.SerializeToString(deterministic=True)
        return content


def _replace(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; another process may write the same one meanwhile."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
        sync(path.parent)
    finally:
        scratch.unlink(missing_ok=True)
