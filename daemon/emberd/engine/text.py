"""A text on its way through the engine, the batch that carries it, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from emberd.errors import EmberdError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Batch", "Embedded", "Encoded", "Outcome", "Priority", "Request", "Text", "Truncate"]

Truncate = Literal["end", "start", "error"]
Priority = Literal["interactive", "bulk"]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    """A text's embedding: `(dim,) float32`, a row of its batch's array.

    `tokens` counts what the model read, special tokens included, after truncation.
    """

    vector: NDArray[np.float32]
    tokens: int
    truncated: bool


Outcome = Embedded | EmberdError


class Encoded(NamedTuple):
    """Token ids as int32 in the machine's byte order: 4 bytes a token, where a list takes 36."""

    ids: bytes
    length: int
    truncated: bool


@dataclass(slots=True, eq=False)
class Request:
    """What the texts of one `submit` share. Times are of the monotonic clock; 0 is not yet."""

    model: str
    truncate: Truncate = "end"
    priority: Priority = "interactive"
    submitted_s: float = 0.0
    tokenised_s: float = 0.0
    """When its first texts were tokens; set by a tokeniser worker."""
    started_s: float = 0.0
    """When the first batch with a text of it began; set by whoever starts batches."""


class Text:
    """One text to embed. The event loop makes it, a tokeniser worker fills `encoded`, and from
    then on the scheduler owns it: `arrival` and `is_settled` are its marks alone. `future` is the
    ledger's; None means that nobody waits."""

    __slots__ = ("arrival", "content", "encoded", "future", "is_settled", "queued_s", "request")

    def __init__(
        self,
        request: Request,
        content: str,
        future: object | None = None,
    ) -> None:
        self.request = request
        self.content = content
        self.future = future
        self.encoded = _NOT_YET
        self.arrival = 0
        self.queued_s = 0.0
        self.is_settled = False

    @property
    def length(self) -> int:
        """Tokens, special ones included."""
        return self.encoded.length

    def __repr__(self) -> str:
        return f"<Text {self.arrival}, {self.length} tokens>"


_NOT_YET = Encoded(b"", 0, False)


class Batch:
    """Texts of one model that run together, every row padded to `width` tokens."""

    __slots__ = ("budget", "is_alone", "model", "texts", "tokens", "width")

    def __init__(self, texts: list[Text], budget: int) -> None:
        self.model = texts[0].request.model
        self.texts = texts
        self.budget = budget
        self.is_alone = False  # nothing else runs or waits: it may have every core
        lengths = [text.encoded.length for text in texts]
        self.width = max(lengths)
        self.tokens = sum(lengths)

    @property
    def cost(self) -> int:
        """Tokens computed, padding included."""
        return len(self.texts) * self.width

    @property
    def padding(self) -> int:
        """Tokens computed for nothing."""
        return self.cost - self.tokens

    def __repr__(self) -> str:
        return f"<Batch of {len(self.texts)} x {self.width}>"
