"""What calls give back. Nothing here needs NumPy until vectors are there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emberd.errors import EmberdError, error_from_wire

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EmbedResult"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EmbedResult:
    """The vectors of a call, and where they came from."""

    vectors: NDArray[np.float32]
    """(n, dim) float32, in the order of the texts; a text that failed has a row of zeros."""
    model: str = ""
    fingerprint: str = ""
    """Of the model: vectors of different fingerprints must not be compared."""
    hits: dict[str, int] = field(default_factory=dict)
    """Texts found in the cache, by tier."""
    computed: int = 0
    deduplicated: int = 0
    """Texts equal to another one of this call, or one being computed for another client."""
    tokens: int = 0
    truncated: list[int] = field(default_factory=list)
    """Indexes of the texts that were longer than the model's window and were cut."""
    errors: list[dict[str, Any]] = field(default_factory=list)
    """With `partial=True`: `{index, code, message, retryable, ...}` of each text that failed."""

    @property
    def dim(self) -> int:
        """Numbers a vector."""
        return int(self.vectors.shape[1])

    @property
    def failures(self) -> dict[int, EmberdError]:
        """The errors as exceptions, by the index of the text."""
        return {int(error["index"]): error_from_wire(error) for error in self.errors}

    def __len__(self) -> int:
        return len(self.vectors)
