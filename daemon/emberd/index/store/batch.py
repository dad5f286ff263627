"""An upsert made ready: checked, normalised and encoded before it reaches the writer's thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.errors import InvalidParamsError
from emberd.index.metadata import Field, encode_metadata, fields_of
from emberd.index.names import check_ids
from emberd.index.store.layout import RowLayout
from emberd.index.store.records import digest_of

__all__ = ["Batch", "normalised", "prepare_batch"]

# Rounding to f16 moves a norm by less; only what is further off is no unit vector.
_NORM_SLACK = 1e-3
_SHORT = 1e-15


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents with each id once; `vectors` (n, dim) as the file has them, or zero vectors."""

    ids: list[str]
    vectors: NDArray[np.floating[Any]]
    texts: list[str | None]
    metadata: list[str]
    fields: list[list[Field]]

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self, index: int, label: int, vector_crc: int) -> bytes:
        """The digest of one document under a label."""
        text = self.texts[index]
        return digest_of(
            label,
            self.ids[index].encode(),
            text if text is None else text.encode(),
            self.metadata[index].encode(),
            vector_crc,
        )


def prepare_batch(
    layout: RowLayout,
    ids: Sequence[object],
    vectors: NDArray[Any],
    texts: Sequence[str | None] | None,
    metadata: Sequence[Mapping[str, Any] | None] | None,
) -> Batch:
    """Check everything; of an id that comes twice the last document counts, as in a dictionary.

    Raises InvalidParamsError naming the parameter and the index.
    """
    names = check_ids(ids)
    given_texts = _parallel(texts, len(names), "texts")
    given_metadata = _parallel(metadata, len(names), "metadata")
    unit = normalised(vectors, len(names), layout.dim)
    kept = sorted({name: index for index, name in enumerate(names)}.values())
    maps = [given_metadata[index] or {} for index in kept]
    places = [f"metadata[{index}]" for index in kept]
    encoded = [encode_metadata(each, place) for each, place in zip(maps, places, strict=True)]
    return Batch(
        ids=[names[index] for index in kept],
        vectors=unit[kept].astype(layout.number, copy=False),
        texts=[_checked_text(given_texts[index], index) for index in kept],
        metadata=encoded,
        fields=[fields_of(each, place) for each, place in zip(maps, places, strict=True)],
    )


def normalised(
    vectors: NDArray[Any], count: int, dim: int, field: str = "vectors"
) -> NDArray[np.float32]:
    """(count, dim) float32, each row of length 1 or all zero. Raises InvalidParamsError."""
    try:
        array = np.ascontiguousarray(vectors, dtype=np.float32)
    except (TypeError, ValueError) as exc:
        raise InvalidParamsError(
            f"{field}: these are not numbers ({exc}).", details={"field": field}
        ) from exc
    if array.shape != (count, dim):
        raise InvalidParamsError(
            f"{field}: the shape is {list(array.shape)} and must be [{count}, {dim}]; the "
            f"collection's vectors have {dim} dimensions.",
            details={"field": field},
        )
    lengths = np.sqrt(np.einsum("nd,nd->n", array, array))
    if not ((lengths > _SHORT) & (lengths < np.inf)).all():  # where float32 has no squares
        lengths = np.sqrt(np.einsum("nd,nd->n", array, array, dtype=np.float64))
    if not np.isfinite(lengths).all():
        index = int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise InvalidParamsError(
            f"{field}[{index}] has a component that is not a finite number.",
            details={"field": field, "index": index},
        )
    off = (lengths > 0) & (np.abs(lengths - 1) > _NORM_SLACK)
    if off.any():
        array = array.copy()
        array[off] = array[off] / lengths[off, None]
    return array


def _parallel(values: Sequence[Any] | None, count: int, field: str) -> Sequence[Any]:
    if values is None:
        return [None] * count
    if len(values) != count:
        raise InvalidParamsError(
            f"{field}: there are {len(values)} for {count} ids; give one for each.",
            details={"field": field},
        )
    return values


def _checked_text(text: object, index: int) -> str | None:
    if text is None:
        return None
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _bad_text(index, "is not valid Unicode") from None
        return text
    raise _bad_text(index, "is not a string")


def _bad_text(index: int, reason: str) -> InvalidParamsError:
    return InvalidParamsError(
        f"texts[{index}] {reason}.", details={"field": "texts", "index": index}
    )
