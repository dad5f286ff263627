"""MPNet's buckets of distances between tokens: near ones apart, far ones together.

Raffel et al., Exploring the Limits of Transfer Learning (T5), 2020, section 2.1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bucket_of_distance"]

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
