"""MPNet's buckets of distances between tokens: near ones apart, far ones together.

Raffel et al., Exploring the Limits of Transfer Learning (T5), 2020, section 2.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emberd.models.bert.config import BertConfig
from emberd.models.graph_writer import GraphWriter

__all__ = ["bucket_of_distance", "scores_of_distances", "write_distances"]

_FARTHEST = 128


def bucket_of_distance(distances: NDArray[np.int64], buckets: int) -> NDArray[np.int64]:
    """The bucket of each distance, (n,) int64: the key's place minus the query's.

    Keys before the query take the lower half of the buckets. In each half the nearer half is one
    bucket a distance; the rest grows with the logarithm up to 128, and the last has all beyond.
    """
    half = buckets // 2
    single = half // 2
    away = np.abs(distances)
    # float32, as the checkpoints were trained with: a rounding decides where a bucket ends.
    share = np.log(np.maximum(away, 1).astype(np.float32) / np.float32(single))
    share /= np.float32(np.log(_FARTHEST / single))
    far = np.minimum(single + (share * np.float32(half - single)).astype(np.int64), half - 1)
    found: NDArray[np.int64] = np.where(away < single, away, far) + half * (distances > 0)
    return found


def scores_of_distances(table: NDArray[np.float32], config: BertConfig) -> NDArray[np.float32]:
    """The score of each distance from the farthest before the query to the farthest after it,
    (2 max_tokens - 1, heads), from the checkpoint's of each bucket."""
    most = config.max_tokens
    scores: NDArray[np.float32] = table[
        bucket_of_distance(np.arange(-most + 1, most), config.distance_buckets)
    ]
    return scores


def write_distances(graph: GraphWriter, table: str, time: str, most: int) -> str:
    """Nodes that look up [heads, time, time], the score for how far each key is from each query.

    `table` has what `scores_of_distances` gives for `most` tokens, `time` is the length.
    """
    one, none = graph.constant(1, np.int64), graph.constant(0, np.int64)
    places = graph.op("Range", none, graph.op("Squeeze", time), one)
    queries = graph.op("Sub", graph.constant(most - 1, np.int64), places)
    index = graph.op(
        "Add",
        graph.op("Unsqueeze", queries, graph.constant((1,), np.int64)),
        graph.op("Unsqueeze", places, graph.constant((0,), np.int64)),
    )
    return graph.op("Transpose", graph.op("Gather", table, index), perm=[2, 0, 1])
