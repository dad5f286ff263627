"""OpenVINO driven directly, by the best script for many texts: sorted by length, cut into batches
of about as many tokens as emberd's, padded, an asynchronous queue over one stream a core."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from bench.plain_graph import plain_bert
from emberd.models import StoredModel
from emberd_openvino.backend import in_background
from emberd_openvino.library import openvino

__all__ = ["DirectOpenVino"]

_BATCH_TOKENS = 640


class DirectOpenVino:
    """The plain graph in bfloat16; OpenVINO's threads have the priority that emberd gives them."""

    def __init__(self, model: StoredModel) -> None:
        streams = len(os.sched_getaffinity(0))
        options = {
            "INFERENCE_PRECISION_HINT": "bf16",
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": streams,
        }
        core = openvino.Core()
        graph = core.read_model(plain_bert(model))
        self._queue = in_background(
            lambda: openvino.AsyncInferQueue(core.compile_model(graph, "CPU", options), streams)
        )
        self._queue.set_callback(_take)
        self._dim = model.info.dim
        self._tokenizer = Tokenizer.from_file(str(model.tokenizer))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(model.info.max_tokens)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(n, dim) float32`, in the order of the texts."""
        encodings = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda index: -len(encodings[index]))
        vectors = np.empty((len(texts), self._dim), np.float32)
        for batch in _batches(order, encodings):
            ids, mask = _padded([encodings[index] for index in batch])
            inputs = {"input_ids": ids, "attention_mask": mask}
            self._queue.start_async(inputs, (vectors, batch))
        self._queue.wait_all()
        return vectors


def _take(
    request: openvino.InferRequest, userdata: tuple[NDArray[np.float32], Sequence[int]]
) -> None:
    vectors, batch = userdata
    vectors[batch] = request.get_output_tensor(0).data


def _batches(order: list[int], encodings: Sequence[Encoding]) -> Iterator[list[int]]:
    while order:
        count = max(1, _BATCH_TOKENS // len(encodings[order[0]]))
        yield order[:count]
        order = order[count:]


def _padded(encodings: Sequence[Encoding]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    width = len(encodings[0])
    ids = np.zeros((len(encodings), width), np.int64)
    mask = np.zeros_like(ids)
    for row, encoding in enumerate(encodings):
        ids[row, : len(encoding)] = encoding.ids
        mask[row, : len(encoding)] = 1
    return ids, mask
