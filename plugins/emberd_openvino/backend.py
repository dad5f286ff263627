"""A stored model under OpenVINO: as many streams as callers, one thread each."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from emberd.engine import Encoded, Truncate
from emberd.engine.tokenizer import TextTokenizer
from emberd.errors import EmberdError, ModelLoadFailedError
from emberd.models import StoredModel
from emberd.models.bert.config import read_bert_config
from emberd.models.info import CONFIG_FILE, WEIGHTS_FILE
from emberd.models.recipe import read_json
from emberd.models.safetensors import SafeTensors
from emberd_openvino.graph import bert_model
from emberd_openvino.library import compiled

__all__ = ["OpenVinoBackend", "in_background"]

T = TypeVar("T")
# As that of the engine's callers: the event loop keeps ten times the weight.
_NICE = 10


class OpenVinoBackend:
    """A loaded model (an `EmbedderBackend`)."""

    equal_only = True
    batch_tokens = 0
    note = ""

    def __init__(self, model: StoredModel, threads: int, cache: Path) -> None:
        """Compile and try the model; blocking, for tenths of a second.

        Raises ModelInvalidError for broken files, ModelLoadFailedError for what gives no
        embeddings, and whatever OpenVINO raises.
        """
        self.dim = model.info.dim
        self._tokenizer = TextTokenizer(model.tokenizer, model.info.max_tokens)
        self.part_chars = self._tokenizer.part_chars()
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._model = in_background(lambda: compiled(_graph_of(model), threads, cache))
        _keep_newest(cache)
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(threads):
            self._requests.put(self._model.create_infer_request())
        self._check(model)

    def encode(self, texts: Sequence[str], truncate: Truncate) -> list[Encoded | EmberdError]:
        return self._tokenizer.encode(texts, truncate)

    def count(self, texts: Sequence[str]) -> list[int | EmberdError]:
        return self._tokenizer.count(texts)

    def embed(
        self, rows: Sequence[Encoded], width: int, *, alone: bool = False
    ) -> NDArray[np.float32]:
        """`(len(rows), dim) float32`, rows L2-normalised; all `rows` have `width` tokens."""
        flat = np.frombuffer(b"".join([row.ids for row in rows]), np.int32)
        request = self._requests.get()
        try:
            request.infer([flat.reshape(len(rows), width)])
            found: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
        finally:
            self._requests.put(request)
        return found

    def is_out_of_memory(self, error: BaseException) -> bool:
        """OpenVINO has no class for it: its words must do."""
        return isinstance(error, MemoryError) or "bad_alloc" in str(error)

    def close(self) -> None:
        self._model = None
        self._requests = queue.SimpleQueue()

    def _check(self, model: StoredModel) -> None:
        """One short run: what gives no embeddings must fail here, not for each text."""
        probe = self._tokenizer.encode(["emberd"], "end")[0]
        if isinstance(probe, EmberdError):
            raise probe
        found = self.embed([probe], probe.length)
        if found.shape != (1, self.dim) or not np.isfinite(found).all():
            raise ModelLoadFailedError(
                f"The model {model.info.name} gives no embeddings under OpenVINO. Remove it and "
                "pull it again."
            )


def _graph_of(model: StoredModel) -> Any:
    config = read_bert_config(read_json(model.folder / CONFIG_FILE))
    with SafeTensors(model.folder / WEIGHTS_FILE) as weights:
        return bert_model(config, weights, model.info.pooling)


def _keep_newest(folder: Path) -> None:
    """Each version of OpenVINO, and each number of threads, leaves a file as large as the model."""
    files = sorted(folder.glob("*.blob"), key=lambda file: file.stat().st_mtime)
    for file in files[:-1]:
        file.unlink(missing_ok=True)


def in_background(work: Callable[[], T]) -> T:
    """Run it on a thread of low priority: OpenVINO's threads inherit that (Linux), so that the
    daemon's event loop goes ahead of them."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            if sys.platform == "linux":
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
            answer.set_result(work())
        except BaseException as exc:
            answer.set_exception(exc)

    thread = threading.Thread(target=run, name="emberd-openvino-load", daemon=True)
    thread.start()
    thread.join()
    return answer.result()
