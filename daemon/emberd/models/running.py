"""A model's graph under ONNX Runtime outside the engine: to check it, to calibrate, to measure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["FloatArray", "Ids", "embed_rows", "open_graph", "takes_mask", "token_ids"]

FloatArray = npt.NDArray[np.float32]
Ids = list[list[int]]


def open_graph(graph: Path | bytes, family: str, *, folder: Path | None = None) -> Any:
    """A session on one core of the CPU. `folder` is where the weights of a graph in memory lie."""
    import onnxruntime  # noqa: PLC0415 - the slowest import of all

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if family == "bert":  # in its final form already
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if folder is not None:
        key = "session.model_external_initializers_file_folder_path"
        options.add_session_config_entry(key, str(folder))
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def takes_mask(session: Any) -> bool:
    """Whether texts of several lengths may share a batch."""
    return "attention_mask" in {entry.name for entry in session.get_inputs()}


def embed_rows(session: Any, ids: Ids) -> FloatArray:
    """One batch, (n, dim); rows of several lengths are padded, which needs a mask."""
    widest = max(len(row) for row in ids)
    padded = np.array([row + [0] * (widest - len(row)) for row in ids], np.int64)
    feeds = {"input_ids": padded}
    if takes_mask(session):
        mask = [[1] * len(row) + [0] * (widest - len(row)) for row in ids]
        feeds["attention_mask"] = np.array(mask, np.int64)
    vectors: FloatArray = session.run(None, feeds)[0]
    return vectors


def token_ids(tokenizer_file: Path, texts: Sequence[str], max_tokens: int) -> Ids:
    """Each text's token ids, cut at `max_tokens`."""
    from tokenizers import Tokenizer  # noqa: PLC0415

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    return [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts))]
