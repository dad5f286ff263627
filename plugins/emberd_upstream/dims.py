"""How many numbers the vectors of each model have, remembered over restarts."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

import msgspec

__all__ = ["KnownDims"]


class KnownDims:
    """A small file; one that cannot be read or written means asking the server again."""

    def __init__(self, folder: Path, log: logging.Logger) -> None:
        self._file = folder / "dims.json"
        self._log = log

    def get(self, model: str, revision: str) -> int:
        """0 where it is not known."""
        return self._read().get(_key(model, revision), 0)

    def put(self, model: str, revision: str, dim: int) -> None:
        """Remember it."""
        known = {**self._read(), _key(model, revision): dim}
        temporary = self._file.with_suffix(".new")
        try:
            temporary.write_bytes(msgspec.json.encode(known))
            os.replace(temporary, self._file)
        except OSError as exc:
            self._log.warning("the dimensions of %s are not remembered: %s", model, exc)

    def _read(self) -> dict[str, int]:
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            return msgspec.json.decode(self._file.read_bytes(), type=dict[str, int])
        return {}


def _key(model: str, revision: str) -> str:
    return f"{model}@{revision}"
