"""The calls of a plugin's embedder: on its own event loop, within a time, and not believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from emberd.engine.text import Outcome, Request
from emberd.errors import (
    EmbeddingFailedError,
    EmberdError,
    PluginFailedError,
    RateLimitedError,
    UpstreamUnavailableError,
)
from emberd.plugins.contracts import Embedder, EmbedderModel
from emberd.plugins.plugged import Plugged
from emberd.plugins.runner import PluginLoop
from emberd.service.embedder_answers import checked, plain_error

__all__ = ["CALL_S", "MODELS_S", "EmbedderCalls"]

CALL_S: Final = 300.0
"""A call that takes longer is given up: its plugin hangs."""
MODELS_S: Final = 30.0


class EmbedderCalls:
    """One embedder, asked from the daemon's event loop."""

    def __init__(self, plugged: Plugged[Embedder], call_s: float = CALL_S) -> None:
        """Raises PluginFailedError for an embedder without an event loop or sensible limits."""
        self.plugin = plugged.plugin
        self.guard = plugged.guard
        self._embedder = plugged.object
        self._loop = _loop_of(plugged)
        self.batch_texts = _positive(plugged, "batch_texts")
        self.concurrency = _positive(plugged, "concurrency")
        self._call_s = call_s
        self._dims: dict[str, int] = {}

    async def models(self) -> list[EmbedderModel]:
        """What the embedder says that it offers. Raises whatever it raises, or TimeoutError."""
        with self.guard.watch():
            return await self._loop.run(lambda: _listed(self._embedder), MODELS_S)

    def offer(self, model: EmbedderModel) -> None:
        """Let this model be asked."""
        self._dims[model.name] = model.dim

    async def embed(self, request: Request, texts: list[str]) -> Sequence[Outcome]:
        """An outcome for each text, whatever the embedder does."""
        error: EmberdError
        try:
            with self.guard.watch():
                return await self._loop.run(partial(self._embed, request, texts), self._call_s)
        except (RateLimitedError, UpstreamUnavailableError) as exc:
            error = plain_error(exc)
        except TimeoutError:
            error = UpstreamUnavailableError(
                f"The plugin {self.plugin!r} gave no answer in time. Try again."
            )
        except Exception:
            # Its words may hold secrets; where they are shown, they are masked.
            error = EmbeddingFailedError(
                f"The plugin {self.plugin!r} failed on these texts. "
                f"`emberd plugins info {self.plugin}` says how."
            )
        return [error] * len(texts)

    async def _embed(self, request: Request, texts: list[str]) -> list[Outcome]:
        """On the plugin's own loop."""
        answers = await self._embedder.embed(request.model, list(texts), request.truncate)
        dim = self._dims[request.model]
        outcomes, fault = checked(answers, len(texts), dim, self.plugin)
        if fault:
            self.guard.failed(fault)
        return outcomes


async def _listed(embedder: Embedder) -> list[EmbedderModel]:
    """On the plugin's own loop: iterating may be the plugin's code, too."""
    return list(await embedder.models())


def _loop_of(plugged: Plugged[Embedder]) -> PluginLoop:
    if plugged.loop is None:
        raise PluginFailedError(f"The plugin {plugged.plugin!r} has no event loop.")
    return plugged.loop


def _positive(plugged: Plugged[Embedder], name: str) -> int:
    read: Callable[[], object] = lambda: getattr(plugged.object, name)  # noqa: E731
    with plugged.guard.watch():
        value = read()
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise PluginFailedError(
            f"{name} of an embedder of the plugin {plugged.plugin!r} is {value!r}; it must be 1 "
            "or more."
        )
    return value
