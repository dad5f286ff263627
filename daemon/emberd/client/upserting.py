"""Writing many documents, as steps: cut into requests, several in flight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import msgspec

from emberd.client.batches import (
    Batch,
    BatchPlan,
    listed_strings,
    run_batches,
    spans,
    utf8_size,
)
from emberd.client.calls import given, hello
from emberd.client.embedding import OnProgress
from emberd.client.replies import read
from emberd.client.results import UpsertResult
from emberd.client.settings import ClientSettings, Timeout
from emberd.client.steps import Steps
from emberd.errors import InvalidParamsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["upsert"]

# Each request is one commit and one line of progress: what is acknowledged stays after Ctrl-C.
_DOCUMENTS: Final = 128
# Documents are long: with eight of them in flight, the last would wait a minute on a small CPU.
_IN_FLIGHT: Final = 4
_HEADER_BYTES: Final = 16


class _Documents(msgspec.Struct, frozen=True):
    """The columns of a call, checked."""

    ids: list[str]
    texts: list[str] | None
    metadata: list[dict[str, Any]] | None
    vectors: Any

    def sizes(self) -> Iterator[int]:
        row_bytes = 0 if self.vectors is None else self.vectors.nbytes // max(len(self.ids), 1)
        for index, name in enumerate(self.ids):
            size = _HEADER_BYTES + row_bytes + utf8_size(name)
            if self.texts is not None:
                size += utf8_size(self.texts[index])
            if self.metadata is not None:
                size += _packed_size(self.metadata[index], index)
            yield size

    def part(self, span: slice) -> dict[str, Any]:
        part: dict[str, Any] = {"ids": self.ids[span]}
        if self.texts is not None:
            part["texts"] = self.texts[span]
        if self.metadata is not None:
            part["metadata"] = self.metadata[span]
        if self.vectors is not None:
            from emberd.wire.vectors import encode_vectors  # noqa: PLC0415 - NumPy, where needed

            part["vectors"] = encode_vectors(self.vectors[span])
        return part


def upsert(
    settings: ClientSettings,
    collection: str,
    ids: Iterable[str],
    texts: Iterable[str] | None,
    *,
    metadata: Iterable[Mapping[str, Any]] | None = None,
    vectors: NDArray[np.float32] | None = None,
    create: bool = True,
    on_progress: OnProgress | None = None,
    timeout_s: Timeout = msgspec.UNSET,
) -> Steps[UpsertResult]:
    """Write documents, new or known; what the daemon counted, added up."""
    documents = _checked(ids, texts, metadata, vectors)
    plan = BatchPlan.within((yield from hello(settings)).limits, items=_DOCUMENTS)
    field = "ids" if documents.texts is None else "texts"
    constant = {"collection": collection, **given({"create": None if create else False})}
    totals = _Totals()

    def take(batch: Batch, result: Any) -> None:
        totals.add(batch.count, read(result, UpsertResult))
        if on_progress is not None:
            on_progress(totals.done, len(documents.ids))

    batches = (
        Batch(span.start, span.stop - span.start, {**constant, **documents.part(span)})
        for span in spans(documents.sizes(), plan, field)
    )
    in_flight = min(_IN_FLIGHT, plan.in_flight)
    yield from run_batches(
        settings, "upsert", batches, take, in_flight=in_flight, timeout_s=timeout_s
    )
    return totals.result()


class _Totals:
    def __init__(self) -> None:
        self.done = 0
        self._counts: Counter[str] = Counter()
        self._hits: Counter[str] = Counter()
        self._version = 0

    def add(self, count: int, part: UpsertResult) -> None:
        self.done += count
        for name in ("inserted", "updated", "unchanged", "computed"):
            self._counts[name] += getattr(part, name)
        self._hits.update(part.hits)
        self._version = max(self._version, part.version)

    def result(self) -> UpsertResult:
        return UpsertResult(version=self._version, hits=dict(self._hits), **self._counts)


def _checked(
    ids: Iterable[str],
    texts: Iterable[str] | None,
    metadata: Iterable[Mapping[str, Any]] | None,
    vectors: NDArray[np.float32] | None,
) -> _Documents:
    _refuse_bare_text(ids, "ids")
    _refuse_bare_text(texts, "texts")
    documents = _Documents(
        ids=listed_strings(ids, "ids"),
        texts=None if texts is None else listed_strings(texts, "texts"),
        metadata=None if metadata is None else [*map(_map, metadata, count())],
        vectors=None if vectors is None else _rows(vectors),
    )
    _check_ids(documents.ids)
    if documents.texts is None and documents.vectors is None:
        raise InvalidParamsError(
            "Give the documents' texts, or their vectors.", details={"field": "texts"}
        )
    for name in ("texts", "metadata", "vectors"):
        _check_length(name, getattr(documents, name), len(documents.ids))
    return documents


def _refuse_bare_text(values: object, field: str) -> None:
    if isinstance(values, str):
        raise InvalidParamsError(
            f"{field} must be a list, and not one str; put it into brackets.",
            details={"field": field},
        )


def _rows(vectors: Any) -> Any:
    import numpy as np  # noqa: PLC0415 - only where vectors are given

    rows = np.ascontiguousarray(vectors, np.float32)
    if rows.ndim != 2:
        raise InvalidParamsError(
            f"vectors must be of shape (n, dim), and not {rows.shape}.",
            details={"field": "vectors"},
        )
    return rows


def _map(value: Mapping[str, Any], index: int) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _bad_metadata(index, f"it is of type {type(value).__name__}")
    return dict(value)


def _check_ids(ids: Sequence[str]) -> None:
    """Requests of one call may overtake each other, so an id that comes twice has no last one."""
    first: dict[str, int] = {}
    for index, name in enumerate(ids):
        if first.setdefault(name, index) != index:
            raise InvalidParamsError(
                f"ids[{index}] and ids[{first[name]}] are both {name!r}; an id may come once a "
                "call.",
                details={"field": f"ids[{index}]", "index": index},
            )


def _check_length(field: str, values: Any, count: int) -> None:
    if values is not None and len(values) != count:
        raise InvalidParamsError(
            f"{count} ids and {len(values)} {field}: there must be one of each a document.",
            details={"field": field},
        )


def _packed_size(metadata: Mapping[str, Any], index: int) -> int:
    try:
        return len(msgspec.msgpack.encode(metadata))
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise _bad_metadata(index, str(exc)) from exc


def _bad_metadata(index: int, why: str) -> InvalidParamsError:
    field = f"metadata[{index}]"
    return InvalidParamsError(
        f"{field} cannot be sent: {why}. Metadata is a map of text, numbers, booleans and lists.",
        details={"field": field, "index": index},
    )
