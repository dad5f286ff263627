"""The cache's file as a client reads it: texts to vectors of one model. Imports LMDB and NumPy."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emberd.client.replies import moved_row
from emberd.client.results import EmbedResult
from emberd.records.keys import KeySpace
from emberd.records.mapped import MappedCache, Reading, attach, detach
from emberd.records.tables import FORMAT, UnusableError
from emberd.records.values import Dtype, cut_dimensions, unpack_values, value_size
from emberd.wire.direct import DirectAccess

__all__ = ["DirectFile", "ModelFile", "Plan", "joined"]

_PLANS = 256  # kept: a prefix may be another one with each call
_PART = 512  # texts read in one transaction


@dataclass(frozen=True, slots=True)
class Plan:
    """How the texts of one call are looked up."""

    space: KeySpace
    dimensions: int | None = None


class DirectFile:
    """This client's use of a mapping that the process's clients share."""

    def __init__(self, folder: str, map_bytes: int) -> None:
        self.folder = folder
        self._pid = os.getpid()
        self._mapped: MappedCache | None = attach(Path(folder), map_bytes)

    def close(self) -> None:
        """Let go of it; a later lookup finds it unusable."""
        mapped, self._mapped = self._mapped, None
        if mapped is not None and self._pid == os.getpid():
            detach(mapped)

    def lookup(self, plan: Plan, texts: list[str], value_size: int, ttl_s: float) -> Reading:
        """See `MappedCache.lookup`; of any number of texts. Raises UnusableError."""
        mapped = self._mapped
        if mapped is None:
            raise UnusableError("the client is closed")
        now = time.time()
        parts = [
            mapped.lookup(
                plan.space,
                texts[start : start + _PART],
                value_size=value_size,
                ttl_s=ttl_s,
                now=now,
            )
            for start in range(0, len(texts), _PART)
        ]
        if len(parts) == 1:
            return parts[0]
        return Reading(
            [value for part in parts for value in part.values],
            [rowid for part in parts for rowid in part.rowids],
        )


class ModelFile:
    """One model's vectors in a file. Raises UnusableError for a format that is not ours."""

    def __init__(self, file: DirectFile, facts: DirectAccess) -> None:
        if facts.format != FORMAT or facts.dtype not in {"f16", "f32"}:
            raise UnusableError(
                f"the daemon keeps format {facts.format}; this client reads {FORMAT}"
            )
        self.facts = facts
        self._file = file
        self._dtype: Dtype = "f16" if facts.dtype == "f16" else "f32"
        self._value_size = value_size(facts.model.dim, self._dtype)
        self._plans: dict[tuple[Any, ...], Plan | None] = {}

    def plan(
        self,
        namespace: str,
        *,
        prompt: str | None = None,
        prefix: str | None = None,
        dimensions: int | None = None,
        truncate: str = "end",
        dtype: str = "f32",
    ) -> Plan | None:
        """None for what only the daemon can answer, or refuse."""
        asked = (namespace, prompt, prefix, dimensions, truncate, dtype)
        try:
            if asked not in self._plans:
                if len(self._plans) >= _PLANS:
                    self._plans.clear()
                self._plans[asked] = self._planned(*asked)
            return self._plans[asked]
        except TypeError:  # an argument of another type, which the daemon refuses in good words
            return None

    def lookup(self, plan: Plan, texts: list[str]) -> Reading:
        """One value or None a text. Raises UnusableError."""
        return self._file.lookup(plan, texts, self._value_size, self.facts.ttl_s)

    def result(self, plan: Plan, values: Sequence[bytes]) -> EmbedResult:
        """The result of a call for these values."""
        model = self.facts.model
        vectors, tokens, truncated = unpack_values(values, model.dim, self._dtype)
        if plan.dimensions is not None and plan.dimensions < model.dim:
            vectors = cut_dimensions(vectors, plan.dimensions)
        return EmbedResult(
            vectors=vectors,
            model=model.name,
            fingerprint=model.fingerprint,
            hits={"direct": len(values)},
            tokens=int(tokens.sum()),
            truncated=np.flatnonzero(truncated).tolist(),
        )

    def _planned(
        self,
        namespace: str,
        prompt: str | None,
        prefix: str | None,
        dimensions: int | None,
        truncate: str,
        dtype: str,
    ) -> Plan | None:
        words = self._words(prompt, prefix)
        if (
            words is None
            or namespace not in self.facts.namespaces
            or truncate not in {"end", "start", "error"}
            or not self._is_exact(dtype, dimensions)
        ):
            return None
        space = KeySpace(namespace, self.facts.model.fingerprint, words, truncate, self.facts.dtype)
        return Plan(space, dimensions)

    def _words(self, prompt: str | None, prefix: str | None) -> str | None:
        if prompt is None:
            return prefix or ""
        return None if prefix is not None else self.facts.model.prompts.get(prompt)

    def _is_exact(self, dtype: str, dimensions: int | None) -> bool:
        """Whether what travels so comes out as it is kept."""
        dim = self.facts.model.dim
        if dimensions is not None and not 0 < dimensions <= dim:
            return False
        return dtype == "f32" or (dtype == "f16" == self._dtype and dimensions in {None, dim})


def joined(found: EmbedResult, rest: EmbedResult, missing: Sequence[int]) -> EmbedResult:
    """One result of the hits and of the texts at `missing`, which the daemon answered."""
    count = len(found) + len(rest)
    hits = np.setdiff1d(np.arange(count), missing, assume_unique=True).tolist()
    vectors: NDArray[np.float32] = np.empty((count, found.dim), np.float32)
    vectors[hits] = found.vectors
    vectors[missing] = rest.vectors
    cut = [hits[at] for at in found.truncated] + [missing[at] for at in rest.truncated]
    return EmbedResult(
        vectors=vectors,
        model=rest.model,
        fingerprint=rest.fingerprint,
        hits=found.hits | rest.hits,
        computed=rest.computed,
        deduplicated=rest.deduplicated,
        tokens=found.tokens + rest.tokens,
        truncated=sorted(cut),
        errors=[
            moved_row(error, missing[error["index"]] - error["index"]) for error in rest.errors
        ],
    )
