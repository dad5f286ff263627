"""What a route answers, before any byte of HTTP is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

__all__ = ["Reply", "json_reply", "rows_reply", "text_reply"]

# Never found inside a JSON string: there the quotes before and after a key are escaped.
_GAP = b"@"


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer. A large body stays in the parts that it was made in: joining hundreds of
    MiB would hold the event loop."""

    parts: Sequence[bytes]
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    """The code of the error that it tells."""


def json_reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """`value` as JSON."""
    return Reply((msgspec.json.encode(value),), status, headers=headers or {})


def rows_reply(
    rows: Sequence[bytes],
    headers: Mapping[str, str],
    around: Mapping[str, Any] | None = None,
    key: str = "",
) -> Reply:
    """The JSON array of `rows` (see `encode_items`), bare or as the field `key` of `around`."""
    if around is None:
        return Reply((b"[", *rows, b"]"), headers=headers)
    mark = msgspec.json.encode(key) + b":"
    whole = msgspec.json.encode({**around, key: msgspec.Raw(_GAP)})
    head, _, tail = whole.partition(mark + _GAP)
    return Reply((head + mark + b"[", *rows, b"]" + tail), headers=headers)


def text_reply(text: str, content_type: str = "text/plain; charset=utf-8") -> Reply:
    """`text` in UTF-8."""
    return Reply((text.encode(),), content_type=content_type)
