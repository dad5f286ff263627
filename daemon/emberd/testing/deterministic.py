"""An embedder without a model: the vector is a hash of the text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from emberd.errors import EmberdError, ModelNotFoundError, TextTooLongError
from emberd.plugins import EmbeddedText, Embedder, EmbedderModel, PluginContext, Truncate, hookimpl

__all__ = ["DeterministicEmbedder", "DeterministicPlugin", "vector_of"]

_NUMBERS_A_BLOCK = 16  # 64 bytes, as many as blake2b gives


class DeterministicEmbedder:
    """The same text has the same vector on every machine; tokens are words.

    `texts` holds every text that it was asked for, in order: what is not there came from a cache.
    """

    batch_texts = 64
    concurrency = 4

    def __init__(
        self, name: str = "deterministic", *, dim: int = 16, max_tokens: int = 256
    ) -> None:
        """`name` is the model's name, too."""
        self.name = name
        self.dim = dim
        self.max_tokens = max_tokens
        self.texts: list[str] = []
        self.is_closed = False

    async def models(self) -> Sequence[EmbedderModel]:
        """One model, of this embedder's name."""
        identity = f"deterministic/{self.name}/{self.dim}/{self.max_tokens}"
        return [
            EmbedderModel(
                name=self.name,
                fingerprint=blake2b(identity.encode(), digest_size=16).hexdigest(),
                dim=self.dim,
                max_tokens=self.max_tokens,
                licence="none",
            )
        ]

    async def embed(
        self, model: str, texts: Sequence[str], truncate: Truncate
    ) -> Sequence[EmbeddedText | EmberdError]:
        """See Embedder. Raises ModelNotFoundError for another model's name."""
        if model != self.name:
            raise ModelNotFoundError(f"{self.name} has no model {model!r}.")
        self.texts += texts
        return [self._embed(text, truncate) for text in texts]

    def stats(self) -> Mapping[str, int | float | str]:
        """The number of texts."""
        return {"texts": len(self.texts)}

    async def close(self) -> None:
        """Nothing is held."""
        self.is_closed = True

    def _embed(self, text: str, truncate: Truncate) -> EmbeddedText | EmberdError:
        words = text.split()
        if len(words) <= self.max_tokens:
            return EmbeddedText(vector_of(text, self.dim), len(words))
        if truncate == "error":
            return TextTooLongError(
                f"The text has {len(words)} tokens and {self.name} takes {self.max_tokens}. "
                "Shorten it, or let it be truncated."
            )
        kept = words[: self.max_tokens] if truncate == "end" else words[-self.max_tokens :]
        return EmbeddedText(vector_of(" ".join(kept), self.dim), self.max_tokens, True)


class DeterministicPlugin:
    """Offers an embedder to the daemon."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @hookimpl
    def emberd_embedders(self, context: PluginContext) -> list[Embedder]:
        return [self._embedder]


def vector_of(text: str, dim: int = 16) -> NDArray[np.float32]:
    """A unit vector, (dim,) float32, whose direction is the blake2b hash of the text."""
    blocks = range(-(-dim // _NUMBERS_A_BLOCK))
    digest = b"".join(
        blake2b(text.encode("utf-8", "surrogatepass"), salt=block.to_bytes(4, "big")).digest()
        for block in blocks
    )
    # A half more, so that no number is 0.
    numbers = np.frombuffer(digest, "<u4")[:dim].astype(np.float64) - (2**31 - 0.5)
    return (numbers / np.linalg.norm(numbers)).astype(np.float32)
