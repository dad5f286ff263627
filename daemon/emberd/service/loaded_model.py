"""A model as requests see it: its prompts, its key spaces, who computes it."""

from __future__ import annotations

from emberd.cache import KeySpace
from emberd.errors import InvalidParamsError
from emberd.models import ModelInfo
from emberd.plugins.contracts import EmbedderModel
from emberd.records.values import Dtype, value_size
from emberd.service.embedder_models import PluggedModel

__all__ = ["LoadedModel"]

_SPACES_KEPT = 1024


class LoadedModel:
    """A model that can compute, with what the cache needs to know of it.

    `plugged` is what computes it where that is a plugin's embedder, and None for the engine.
    """

    def __init__(
        self,
        info: ModelInfo | EmbedderModel,
        dtype: Dtype,
        plugged: PluggedModel | None = None,
    ) -> None:
        self.info = info
        self.plugged = plugged
        self.fingerprint = info.fingerprint
        self.dtype = dtype
        self.value_size = value_size(info.dim, dtype)
        self.texts = 0
        self._spaces: dict[tuple[str, str, str], KeySpace] = {}

    @property
    def fallback(self) -> str | None:
        """The model that answers whole requests when this one's server is away."""
        return self.info.fallback if isinstance(self.info, EmbedderModel) else None

    def prefix_of(self, prompt: str | None, prefix: str | None) -> str:
        """The words put before each text. Raises InvalidParamsError for an unknown prompt."""
        if prompt is None:
            return prefix or ""
        if prefix is not None:
            raise InvalidParamsError(
                "prompt: give a named prompt or a literal prefix, not both.",
                details={"field": "prompt"},
            )
        try:
            return self.info.prompts[prompt]
        except KeyError:
            known = ", ".join(self.info.prompts) or "none; use `prefix` for words of your own"
            raise InvalidParamsError(
                f"prompt: {self.info.name} has no prompt {prompt!r} (it has: {known}).",
                details={"field": "prompt"},
            ) from None

    def space(self, namespace: str, prefix: str, truncate: str) -> KeySpace:
        """The key space of a kind of request; made once."""
        key = (namespace, prefix, truncate)
        space = self._spaces.get(key)
        if space is None:
            if len(self._spaces) >= _SPACES_KEPT:
                self._spaces.clear()
            space = self._spaces[key] = KeySpace(
                namespace, self.fingerprint, prefix, truncate, self.dtype
            )
        return space
