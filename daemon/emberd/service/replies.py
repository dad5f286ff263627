"""From the cached form of vectors to what a reply holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from emberd.records.values import cut_dimensions, kept_values, unpack_values
from emberd.wire.vectors import encode_vectors, vectors_to_lists

if TYPE_CHECKING:
    from emberd.service.embedding import Work

__all__ = ["reply_of", "vectors_of"]


def reply_of(work: Work) -> dict[str, Any]:
    """The result of `embed`; touches nothing shared, so it may run on any thread."""
    model, params, values = work.model, work.params, _values_of(work)
    dim = model.info.dim
    if params.dimensions is not None and params.dimensions < dim:
        dim = params.dimensions
    if params.dtype == model.dtype and params.format == "bin" and dim == model.info.dim:
        data, tokens, truncated = kept_values(values, dim, model.dtype)
        vectors: Any = {"dtype": model.dtype, "shape": [len(values), dim], "data": data}
    else:
        vectors, tokens, truncated = _encoded(work, values, dim)
    if params.brief:
        return _brief(work, vectors, tokens, truncated)
    return {
        "model": model.info.name,
        "fingerprint": model.fingerprint,
        "instead_of": work.tried[0] if work.tried else None,
        "dim": dim,
        "count": len(values),
        "vectors": vectors,
        "hits": work.hits,
        "computed": work.computed,
        "deduplicated": work.deduplicated,
        "tokens": tokens,
        "truncated": truncated,
        "errors": _errors_of(work) if work.errors else [],
    }


def _brief(work: Work, vectors: Any, tokens: int, truncated: list[int]) -> dict[str, Any]:
    """Half the time to pack and to read of one vector's reply."""
    reply = {"count": len(work.values), "vectors": vectors, "hits": work.hits, "tokens": tokens}
    if work.computed:
        reply["computed"] = work.computed
    if work.deduplicated:
        reply["deduplicated"] = work.deduplicated
    if truncated:
        reply["truncated"] = truncated
    if work.tried:
        reply |= {"instead_of": work.tried[0], "model": work.model.info.name}
    if work.errors:
        reply["errors"] = _errors_of(work)
    return reply


def _errors_of(work: Work) -> list[dict[str, Any]]:
    return [{"index": index, **error.to_wire()} for index, error in sorted(work.errors.items())]


def _encoded(work: Work, values: list[bytes], dim: int) -> tuple[Any, int, list[int]]:
    """Vectors in the form that was asked for, tokens, indexes of truncated texts."""
    model, params = work.model, work.params
    vectors, counts, cut = unpack_values(values, model.info.dim, model.dtype)
    if dim < model.info.dim:
        vectors = cut_dimensions(vectors, dim)
    encode = encode_vectors if params.format == "bin" else vectors_to_lists
    return encode(vectors, params.dtype), int(counts.sum()), np.flatnonzero(cut).tolist()


def vectors_of(work: Work) -> npt.NDArray[np.float32]:
    """The vectors of work that is done, `(n, dim)` float32."""
    return unpack_values(_values_of(work), work.model.info.dim, work.model.dtype)[0]


def _values_of(work: Work) -> list[bytes]:
    """Once the work is done none is missing: a text that failed has zeros."""
    return cast("list[bytes]", work.values)
