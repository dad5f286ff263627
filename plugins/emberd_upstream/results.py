"""An answer's rows as what the contract wants for each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from emberd.errors import EmbeddingFailedError, EmberdError
from emberd.plugins import EmbeddedText
from emberd_upstream.dialects import Answer

__all__ = ["Mixed", "embedded_texts", "shared_out"]

Mixed: TypeAlias = EmbeddedText | EmberdError


def embedded_texts(answer: Answer, texts: Sequence[str]) -> list[Mixed]:
    """One entry a text; a row without a direction fails its own text alone."""
    counts = shared_out(answer.tokens, texts)
    return [
        EmbeddedText(row, tokens)
        if np.isfinite(row).all() and row.any()
        else EmbeddingFailedError("the server answered a vector without a direction.")
        for row, tokens in zip(answer.rows, counts, strict=True)
    ]


def shared_out(tokens: int, texts: Sequence[str]) -> list[int]:
    """The tokens of all texts by the bytes of each: servers tell no more. They add up."""
    sizes = np.cumsum([len(text.encode()) + 1 for text in texts])
    ends = (sizes * tokens) // sizes[-1]
    counts: list[int] = np.diff(ends, prepend=0).tolist()
    return counts
