"""The inputs that the linear layers of a float32 BERT see: what ranges are chosen from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from emberd.models.bert.config import BertConfig
from emberd.models.bert.graph import build_tapped_graph
from emberd.models.bert.int8.ranges import Seen
from emberd.models.bert.int8.rounding import FloatArray
from emberd.models.info import WEIGHTS_FILE, Pooling
from emberd.models.running import open_graph
from emberd.models.safetensors import SafeTensors

__all__ = ["take_samples"]

_SAMPLE_BYTES = 512 << 20
_MOST_ROWS = 12  # of a text


def take_samples(
    folder: Path,
    config: BertConfig,
    pooling: Pooling,
    ids: Sequence[Sequence[int]],
    on_text: Callable[[int], None],
) -> dict[str, Seen]:
    """What each site's input is like for texts of these token ids; a site -> what was seen.

    `folder` holds the float32 weights. The rows are those of each text's first token, its last
    (both special, and in every text) and others evenly between. `on_text` hears how many texts
    are done, and may raise.
    """
    with SafeTensors(folder / WEIGHTS_FILE) as weights:
        model, taps = build_tapped_graph(config, weights, pooling)
    session = open_graph(model.SerializeToString(), "bert", folder=folder)
    most = _rows_of_a_text(config, len(ids))
    gathered = {site: _Gathered() for site in taps}
    for done, row in enumerate(ids, 1):
        picked = np.unique(np.linspace(0, len(row) - 1, most).round().astype(int))
        batch = np.array([row], np.int64)
        feeds = {"input_ids": batch, "attention_mask": np.ones_like(batch)}
        for into, found in zip(
            gathered.values(), session.run(list(taps.values()), feeds), strict=True
        ):
            into.add(found, picked)
        on_text(done)
    return {site: found.seen() for site, found in gathered.items()}


class _Gathered:
    """What is kept of one site's input, text by text."""

    def __init__(self) -> None:
        self.rows: list[FloatArray] = []
        self.low: list[FloatArray] = []
        self.high: list[FloatArray] = []

    def add(self, found: FloatArray, picked: npt.NDArray[np.int_]) -> None:
        """`found` (tokens, channels); with CLS pooling some sites see the first token only."""
        self.rows.append(found[picked[picked < len(found)]])
        self.low.append(found.min(axis=0))
        self.high.append(found.max(axis=0))

    def seen(self) -> Seen:
        low, high = np.min(self.low, axis=0), np.max(self.high, axis=0)
        return Seen(np.concatenate(self.rows), low, high)


def _rows_of_a_text(config: BertConfig, texts: int) -> int:
    row_bytes = 4 * config.layers * (3 * config.hidden + config.intermediate)
    return max(2, min(_MOST_ROWS, _SAMPLE_BYTES // (row_bytes * texts)))
