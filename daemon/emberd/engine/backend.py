"""What the engine asks of a model that can run; ONNX Runtime's is in `session.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from emberd.engine.text import Encoded, Truncate
from emberd.errors import EmberdError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["EmbedderBackend"]


class EmbedderBackend(Protocol):
    """A loaded model. Every method but `close` is called from several threads at once."""

    dim: int
    equal_only: bool
    """It has no mask: all rows of a batch must be of one length."""
    part_chars: int
    """About how many characters of a text are read at most when it is truncated."""

    @property
    def batch_tokens(self) -> int:
        """Tokens of a batch that suit it best; 0 where the device's will do."""
        ...

    @property
    def note(self) -> str:
        """Why it does not run as well as it could on this device; empty where it does."""
        ...

    def encode(self, texts: Sequence[str], truncate: Truncate) -> list[Encoded | EmberdError]:
        """Token ids a text, or why there are none; an exception fails all of these texts."""
        ...

    def count(self, texts: Sequence[str]) -> list[int | EmberdError]:
        """Tokens of each whole text."""
        ...

    def embed(self, rows: Sequence[Encoded], width: int, *, alone: bool) -> NDArray[np.float32]:
        """`(len(rows), dim) float32`, rows L2-normalised; `width` is the longest row's tokens.

        `alone`: nothing else runs, so a CPU may give it every core.

        Whatever it raises fails the batch, which is then cut to find the text to blame.
        """
        ...

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether what `embed` raised says that the batch was too large for the device."""
        ...

    def close(self) -> None:
        """Let go of memory and device; nothing runs any more."""
        ...
