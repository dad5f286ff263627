"""What a plugin's embedder answers, checked: nothing of it is believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from emberd.engine import Embedded
from emberd.engine.text import Outcome
from emberd.errors import ERRORS_BY_CODE, EmbeddingFailedError, EmberdError
from emberd.plugins.contracts import EmbeddedText
from emberd.records.values import MAX_TOKENS

__all__ = ["checked", "plain_error"]


def checked(answers: Sequence[Any], count: int, dim: int, plugin: str) -> tuple[list[Outcome], str]:
    """An outcome for each of `count` texts, vectors `(dim,)` float32 and L2-normalised, and what
    the embedder did wrong ("" for nothing).

    A wrong count fails every text, everything else the text that it is about.
    """
    if len(answers) != count:
        fault = f"The plugin {plugin!r} answered {len(answers)} entries for {count} texts."
        return [EmbeddingFailedError(fault)] * count, fault
    outcomes: list[Outcome] = []
    fault = ""
    for answer in answers:
        if isinstance(answer, EmberdError):
            outcomes.append(plain_error(answer))
            continue
        try:
            outcomes.append(_embedded(answer, dim))
        except (TypeError, ValueError, OverflowError) as exc:
            fault = f"The plugin {plugin!r} answered {exc}."
            outcomes.append(EmbeddingFailedError(fault))
    return outcomes, fault


def plain_error(error: EmberdError) -> EmberdError:
    """A plugin's error as one of ours that can travel: a subclass may be made in any way, and
    details may be anything."""
    kind = ERRORS_BY_CODE.get(error.code, EmbeddingFailedError)
    wait_ms = error.retry_after_ms
    return kind(
        str(error.message),
        retry_after_ms=wait_ms if isinstance(wait_ms, int) else None,
        details={
            str(name): value
            for name, value in dict(error.details).items()
            if isinstance(value, str | int | float | None)
        },
    )


def _embedded(answer: object, dim: int) -> Embedded:
    """Raises ValueError that says what was answered instead of a vector."""
    if not isinstance(answer, EmbeddedText):
        raise ValueError(f"{type(answer).__name__} instead of EmbeddedText")  # noqa: TRY004
    vector = np.asarray(answer.vector, dtype=np.float64)
    if vector.shape != (dim,):
        raise ValueError(f"a vector of shape {vector.shape} instead of ({dim},)")
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length):
        raise ValueError("a vector with numbers that are not finite")
    if length == 0:
        raise ValueError("a vector that is all zeros")
    tokens = int(answer.tokens)
    if not 0 <= tokens <= MAX_TOKENS:
        raise ValueError(f"{tokens} tokens")
    return Embedded((vector / length).astype(np.float32), tokens, bool(answer.is_truncated))
