"""Cutting a request into small tokeniser jobs, and one such job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from emberd.engine.backend import EmbedderBackend
from emberd.engine.text import Encoded, Request, Text
from emberd.errors import EmbeddingFailedError, EmberdError

__all__ = ["encode_texts", "slices"]

T = TypeVar("T")

# About 20 ms of tokenising: what an interactive job waits for at most where all workers are busy.
_SLICE_CHARS = 32_768
_SLICE_TEXTS = 256


def slices(items: Iterable[T], chars_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Runs of items, each a small job."""
    run: list[T] = []
    chars = 0
    for item in items:
        size = chars_of(item)
        if run and (chars + size > _SLICE_CHARS or len(run) >= _SLICE_TEXTS):
            yield run
            run, chars = [], 0
        run.append(item)
        chars += size
    if run:
        yield run


def encode_texts(
    backend: EmbedderBackend, request: Request, texts: list[Text]
) -> tuple[list[Text], list[tuple[Text, EmberdError]]]:
    """Fill in the ids of texts; returns those that have them, and the others with their errors."""
    found = _encode(backend, request, [text.content for text in texts])
    encoded: list[Text] = []
    refused: list[tuple[Text, EmberdError]] = []
    for text, outcome in zip(texts, found, strict=True):
        if isinstance(outcome, EmberdError):
            refused.append((text, outcome))
        else:
            text.encoded = outcome
            text.content = ""  # 65,000 long texts need not be held twice
            encoded.append(text)
    return encoded, refused


def _encode(
    backend: EmbedderBackend, request: Request, contents: list[str]
) -> list[Encoded | EmberdError]:
    try:
        return backend.encode(contents, request.truncate)
    except Exception as exc:
        if len(contents) == 1:
            error = EmbeddingFailedError(f"The tokenizer failed on this text: {exc}.")
            error.__cause__ = exc
            return [error]
    return [_encode(backend, request, [content])[0] for content in contents]
