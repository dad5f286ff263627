"""A checkpoint's manifest: what its files must be, and what the graph in them must say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = ["FORMAT", "Manifest", "ManifestError"]

FORMAT = 1


class ManifestError(ValueError):
    """These bytes are no manifest, or not as they were written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Written last, so that the files that it names are complete."""

    dim: int
    m: int
    ef_construction: int
    count: int
    """Vectors in the graph, deleted ones included."""
    deleted: int
    covered: int
    """The highest label: every label up to it is in the graph, or deleted."""
    created: float
    """Unix seconds."""
    graph_bytes: int
    graph_hash: str
    books_bytes: int
    books_hash: str

    def encode(self) -> bytes:
        """One line of JSON, its own hash among its fields."""
        values = {"format": FORMAT, **asdict(self)}
        return (json.dumps({**values, "check": _check(values)}) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes) -> Manifest:
        """Raises ManifestError for anything that `encode` of this format did not write."""
        try:
            values = json.loads(data)
            check = values.pop("check")
            version = values["format"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as exc:
            raise ManifestError("the manifest is not readable") from exc
        if check != _check(values):
            raise ManifestError("the manifest is not as it was written")
        names = {field.name for field in fields(cls)}
        if version != FORMAT or names != values.keys() - {"format"}:
            raise ManifestError(f"the manifest is of format {version}, not {FORMAT}")
        del values["format"]
        return cls(**values)


def _check(values: dict[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
