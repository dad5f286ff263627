"""A search as it was asked for, checked."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.errors import InvalidParamsError
from emberd.index.documents import Part, check_include
from emberd.index.filters import Everything, Node, parse_filter
from emberd.index.store.batch import normalised

__all__ = ["MAX_K", "SearchRequest", "make_request"]

MAX_K = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class SearchRequest:
    """`queries` (q, dim) float32, rows of length 1; `texts` one a query, for words and snippets."""

    queries: NDArray[np.float32]
    k: int
    where: Node | None
    texts: tuple[str, ...] | None
    is_hybrid: bool
    min_score: float | None
    include: frozenset[Part]
    explain: bool
    exact: bool | None

    @property
    def is_dressed(self) -> bool:
        """Whether hits carry more than id, score, text and metadata."""
        return self.explain or "vector" in self.include or "snippet" in self.include

    @property
    def is_bare(self) -> bool:
        """Whether nothing but ids and scores of the nearest documents is asked for."""
        return self.where is None and not (self.include or self.explain or self.is_hybrid)

    def key(self) -> Hashable:
        """Equal for requests that have equal answers in one version of a collection."""
        queries = sha256(self.queries.data).digest()  # twice as fast as others where the CPU has it
        options = (self.k, self.is_hybrid, self.min_score, self.explain, self.exact)
        # The filter by its repr: True and 1 are equal to Python, but not to a filter.
        return queries, self.texts, repr(self.where), options, self.include


def make_request(
    vectors: NDArray[Any],
    dim: int,
    k: int,
    *,
    where: Mapping[str, Any] | None,
    query_texts: Sequence[str] | None,
    hybrid: bool,
    min_score: float | None,
    include: Collection[str],
    explain: bool,
    exact: bool | None,
) -> SearchRequest:
    """Raises InvalidParamsError naming the parameter."""
    if not 1 <= k <= MAX_K:
        raise InvalidParamsError(f"k must be 1 to {MAX_K}, not {k}.", details={"field": "k"})
    array = np.asarray(vectors)
    queries = normalised(array, len(array) if array.ndim else 0, dim)
    parts = check_include(include)
    if query_texts is not None and len(query_texts) != len(queries):
        raise InvalidParamsError(
            f"query_texts: there are {len(query_texts)} for {len(queries)} vectors.",
            details={"field": "query_texts"},
        )
    if query_texts is None and hybrid:
        raise InvalidParamsError(
            "A hybrid search needs the texts of the queries, for their words.",
            details={"field": "query_texts"},
        )
    node = None if where is None else parse_filter(where)
    return SearchRequest(
        queries=queries,
        k=k,
        where=None if isinstance(node, Everything) else node,
        texts=None if query_texts is None else tuple(query_texts),
        is_hybrid=hybrid,
        min_score=min_score,
        include=parts,
        explain=explain,
        exact=exact,
    )
