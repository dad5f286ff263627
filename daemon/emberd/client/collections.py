"""The calls about collections, written once as steps: arguments in, a typed result out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypedDict, TypeVar

import msgspec
from msgspec import UNSET

from emberd.client.batches import (
    Batch,
    BatchPlan,
    listed_strings,
    run_batches,
    spans,
    utf8_size,
)
from emberd.client.calls import given, hello, request
from emberd.client.replies import read, vectors_of
from emberd.client.results import CheckReport, CollectionInfo, Document, Hit
from emberd.client.settings import ClientSettings, Timeout
from emberd.client.steps import Steps
from emberd.errors import InvalidParamsError, ProtocolError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Include",
    "Page",
    "Queries",
    "SearchOptions",
    "Where",
    "check",
    "create",
    "delete",
    "drop",
    "get",
    "info",
    "is_one",
    "list_all",
    "rebuild",
    "scan_page",
    "search",
]

D = TypeVar("D", bound=Document)

Where: TypeAlias = Mapping[str, Any]
"""`{"lang": "en"}`, with `$ne $gt $gte $lt $lte $in $nin $exists $contains $and $or $not`."""
Include: TypeAlias = Sequence[Literal["text", "metadata", "vector", "snippet"]]
Queries: TypeAlias = "str | Sequence[str] | NDArray[np.float32]"
"""Texts, or vectors of shape (n, dim) or (dim,)."""

_BUILD_S: Final = 600.0  # what reads a whole collection, or has to fetch a model first
_QUERIES: Final = 64  # a request: the hits of many queries with their texts are a large reply
_COUNTED: Final = frozenset({"ok", "problems", "mended"})


class SearchOptions(TypedDict, total=False):
    """Keyword arguments of `search`."""

    where: Where | None
    """Only documents whose metadata fit this filter."""
    hybrid: bool
    """Fuse the order of the vectors with that of a full-text search."""
    min_score: float | None
    """Only hits that score at least this."""
    include: Include
    """What comes with a hit; text and metadata by default."""
    explain: bool
    """Say for each hit how it was found."""
    prompt: str | None
    """The name of one of the model's prompts for the queries."""
    timeout_s: Timeout


class Page(msgspec.Struct, frozen=True):
    """A part of a scan; the next one begins at `next_cursor`, where there is one."""

    documents: list[Document] = []
    next_cursor: Any = None


def create(
    settings: ClientSettings, name: str, *, model: str | None, exist_ok: bool
) -> Steps[CollectionInfo]:
    """Make a collection."""
    params = {"name": name, **given({"model": model, "exist_ok": exist_ok or None})}
    result = yield from request(settings, "collections.create", params, _BUILD_S)
    return read(result, CollectionInfo)


def list_all(settings: ClientSettings) -> Steps[list[CollectionInfo]]:
    """Every collection."""
    return read((yield from request(settings, "collections.list", {})), list[CollectionInfo])


def info(settings: ClientSettings, name: str) -> Steps[CollectionInfo]:
    """One collection."""
    return read((yield from request(settings, "collections.info", {"name": name})), CollectionInfo)


def drop(settings: ClientSettings, name: str) -> Steps[None]:
    """Delete a collection."""
    yield from request(settings, "collections.drop", {"name": name})


def rebuild(settings: ClientSettings, name: str) -> Steps[bool]:
    """Whether a rebuild was started."""
    result = yield from request(settings, "collections.rebuild", {"name": name})
    return bool(read(result, dict[str, Any]).get("started"))


def check(settings: ClientSettings, name: str) -> Steps[CheckReport]:
    """Read every file of a collection."""
    result = yield from request(settings, "collections.check", {"name": name}, _BUILD_S)
    found = read(result, dict[str, Any])
    counts = {
        name: value for name, value in found.items() if name not in _COUNTED and type(value) is int
    }
    return read({"counts": counts, **found}, CheckReport)


def delete(
    settings: ClientSettings,
    collection: str,
    ids: str | Iterable[str] | None,
    where: Where | None,
    timeout_s: Timeout = UNSET,
) -> Steps[int]:
    """Documents deleted."""
    if (ids is None) == (where is None):
        raise InvalidParamsError(
            "Name what to delete: ids or where. `collections.drop` deletes everything.",
            details={"field": "ids"},
        )
    if ids is None:
        params = {"collection": collection, "where": where}
        result = yield from request(settings, "delete", params, timeout_s)
        return int(read(result, dict[str, Any]).get("deleted", 0))
    deleted = 0

    def take(batch: Batch, result: Any) -> None:
        nonlocal deleted
        deleted += int(read(result, dict[str, Any]).get("deleted", 0))

    yield from _by_text(
        settings, "delete", "ids", _listed(ids, "ids"), {"collection": collection}, take, timeout_s
    )
    return deleted


def get(
    settings: ClientSettings,
    collection: str,
    ids: str | Iterable[str],
    include: Include | None,
    timeout_s: Timeout = UNSET,
) -> Steps[list[Document | None]]:
    """The documents of these ids, None for one that is not there."""
    constant = {"collection": collection, **given({"include": include})}
    found: list[Document | None] = []

    def take(batch: Batch, result: Any) -> None:
        rows = read(result, _GetReply).documents
        _check_rows(len(rows), batch.count)
        found.extend(row and _with_vector(row) for row in rows)

    yield from _by_text(settings, "get", "ids", _listed(ids, "ids"), constant, take, timeout_s)
    return found


class _GetReply(msgspec.Struct, frozen=True):
    documents: list[Document | None]


def scan_page(
    settings: ClientSettings,
    collection: str,
    *,
    where: Where | None,
    include: Include | None,
    limit: int,
    cursor: Any,
    timeout_s: Timeout = UNSET,
) -> Steps[Page]:
    """The documents after `cursor`, in the collection's order."""
    options = given({"where": where, "include": include, "cursor": cursor})
    params = {"collection": collection, "limit": limit, **options}
    page = read((yield from request(settings, "scan", params, timeout_s)), Page)
    return Page([_with_vector(row) for row in page.documents], page.next_cursor)


def search(
    settings: ClientSettings,
    collection: str,
    queries: Queries,
    k: int,
    *,
    where: Where | None = None,
    hybrid: bool = False,
    min_score: float | None = None,
    include: Include | None = None,
    explain: bool = False,
    prompt: str | None = None,
    timeout_s: Timeout = UNSET,
) -> Steps[list[list[Hit]]]:
    """The best `k` documents of each query."""
    options = {
        "where": where,
        "hybrid": hybrid or None,
        "min_score": min_score,
        "include": include,
        "explain": explain or None,
        "prompt": prompt,
    }
    constant = {"collection": collection, "k": k, **given(options)}
    found: list[list[Hit]] = []

    def take(batch: Batch, result: Any) -> None:
        lists = read(result, _SearchReply).results
        _check_rows(len(lists), batch.count)
        if include is not None and "vector" in include:
            lists = [[_with_vector(hit) for hit in hits] for hits in lists]
        found.extend(lists)

    if _are_vectors(queries):
        batches = _vector_batches(queries, constant)
        yield from run_batches(settings, "search", batches, take, timeout_s=timeout_s)
    else:
        texts = _listed(queries, "queries")
        yield from _by_text(
            settings, "search", "queries", texts, constant, take, timeout_s, items=_QUERIES
        )
    return found


class _SearchReply(msgspec.Struct, frozen=True):
    results: list[list[Hit]]


def is_one(queries: Queries) -> bool:
    """Whether one text or one vector was asked for, so that one list of hits is the answer."""
    return isinstance(queries, str) or (getattr(queries, "ndim", 2) == 1 and _are_vectors(queries))


def _are_vectors(queries: Any) -> bool:
    dtype = getattr(queries, "dtype", None)  # an array of str is texts
    return dtype is not None and dtype.kind in "fiu"


def _vector_batches(vectors: Any, constant: Mapping[str, Any]) -> Iterable[Batch]:
    import numpy as np  # noqa: PLC0415 - only where vectors are given

    from emberd.wire.vectors import encode_vectors  # noqa: PLC0415

    rows = np.atleast_2d(np.asarray(vectors, np.float32))
    if rows.ndim != 2:
        raise InvalidParamsError(
            f"Queries must be of shape (n, dim), and not {rows.shape}.",
            details={"field": "vectors"},
        )
    for start in range(0, len(rows), _QUERIES):
        part = rows[start : start + _QUERIES]
        yield Batch(start, len(part), {**constant, "vectors": encode_vectors(part)})


def _by_text(
    settings: ClientSettings,
    method: str,
    field: str,
    texts: list[str],
    constant: Mapping[str, Any],
    take: Any,
    timeout_s: Timeout,
    *,
    items: int = 4_096,
) -> Steps[None]:
    """One request for each run of texts; none at all for no texts."""
    plan = BatchPlan.within((yield from hello(settings)).limits, items=items)
    sizes = (utf8_size(text) + 5 for text in texts)
    batches = (
        Batch(span.start, span.stop - span.start, {**constant, field: texts[span]})
        for span in spans(sizes, plan, field)
    )
    yield from run_batches(
        settings, method, batches, take, in_flight=plan.in_flight, timeout_s=timeout_s
    )


def _listed(texts: str | Iterable[str], field: str) -> list[str]:
    return listed_strings([texts] if isinstance(texts, str) else texts, field)


def _with_vector(row: D) -> D:
    """The vector of a row as an array."""
    if row.vector is None:
        return row
    return msgspec.structs.replace(row, vector=_vector_of(row.vector))


def _vector_of(value: Any) -> Any:
    is_numbers = isinstance(value, list) and not (value and isinstance(value[0], list))
    return vectors_of([value] if is_numbers else value, 1)[0]


def _check_rows(came: int, asked: int) -> None:
    if came != asked:
        raise ProtocolError(
            f"The daemon answered {came} of {asked}. Are client and daemon of one version? "
            "`emberd restart` starts the installed one."
        )
