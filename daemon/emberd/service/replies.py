"""From the cached form of vectors to what a reply holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from emberd.cache.values import unpack_value, unpack_values
from emberd.wire.vectors import encode_vectors, vectors_to_lists

if TYPE_CHECKING:
    from emberd.service.embedding import Work

__all__ = ["cut_dimensions", "reply_of", "vectors_of"]


def reply_of(work: Work) -> dict[str, Any]:
    """The result of `embed`; touches nothing shared, so it may run on any thread."""
    model, params, values = work.model, work.params, _values_of(work)
    if len(values) == 1:
        vector, tokens, is_truncated = unpack_value(values[0], model.info.dim, model.dtype)
        vectors, truncated = vector[None], [0] if is_truncated else []
    else:
        vectors, counts, cut = unpack_values(values, model.info.dim, model.dtype)
        tokens, truncated = int(counts.sum()), np.flatnonzero(cut).tolist()
    if params.dimensions is not None and params.dimensions < model.info.dim:
        vectors = cut_dimensions(vectors, params.dimensions)
    encode = encode_vectors if params.format == "bin" else vectors_to_lists
    return {
        "model": model.info.name,
        "fingerprint": model.fingerprint,
        "instead_of": work.tried[0] if work.tried else None,
        "dim": vectors.shape[1],
        "count": len(values),
        "vectors": encode(vectors, params.dtype),
        "hits": work.hits,
        "computed": work.computed,
        "deduplicated": work.deduplicated,
        "tokens": tokens,
        "truncated": truncated,
        "errors": [
            {"index": index, **error.to_wire()} for index, error in sorted(work.errors.items())
        ],
    }


def cut_dimensions(vectors: npt.NDArray[np.float32], dimensions: int) -> npt.NDArray[np.float32]:
    """The first `dimensions` of each row, normalised again; a zero row stays zero."""
    cut = vectors[:, :dimensions]
    norms = np.linalg.norm(cut, axis=1, keepdims=True)
    return np.ascontiguousarray(cut / np.where(norms == 0, 1, norms), dtype=np.float32)


def vectors_of(work: Work) -> npt.NDArray[np.float32]:
    """The vectors of work that is done, `(n, dim)` float32."""
    return unpack_values(_values_of(work), work.model.info.dim, work.model.dtype)[0]


def _values_of(work: Work) -> list[bytes]:
    return [value for value in work.values if value is not None]
