"""What one writes first: batches of 64 in order of arrival, padded to the longest, through the
plain graph in one ONNX Runtime session with its default options (and so its threads)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

from bench.plain_graph import plain_bert
from emberd.models import StoredModel

__all__ = ["NaiveEmbedder"]

_BATCH_TEXTS = 64


class NaiveEmbedder:
    """A tokenizer that pads, a session, a loop."""

    def __init__(self, model: StoredModel, *, device: str) -> None:
        onnxruntime.set_default_logger_severity(4)
        wanted = {"cpu": ["CPUExecutionProvider"], "cuda": ["CUDAExecutionProvider"]}
        providers = wanted.get(device) or onnxruntime.get_available_providers()
        self._session = onnxruntime.InferenceSession(plain_bert(model), providers=providers)
        self._tokenizer = Tokenizer.from_file(str(model.tokenizer))
        self._tokenizer.enable_padding()
        self._tokenizer.enable_truncation(model.info.max_tokens)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """`(n, dim) float32`, in the order of the texts."""
        starts = range(0, len(texts), _BATCH_TEXTS)
        return np.concatenate([self._batch(texts[at : at + _BATCH_TEXTS]) for at in starts])

    def embed_sorted(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """The same with the texts sorted by their characters first: the usual improvement."""
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        found = self.embed([texts[index] for index in order])
        vectors = np.empty_like(found)
        vectors[order] = found
        return vectors

    def _batch(self, texts: Sequence[str]) -> NDArray[np.float32]:
        encodings = self._tokenizer.encode_batch(list(texts))
        feeds = {
            "input_ids": np.array([encoding.ids for encoding in encodings], np.int64),
            "attention_mask": np.array([e.attention_mask for e in encodings], np.int64),
        }
        vectors: NDArray[np.float32] = self._session.run(["embedding"], feeds)[0]
        return vectors
