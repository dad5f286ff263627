"""Where models come from: a local folder, the Hub, the package index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Fetched"]


@dataclass(frozen=True, slots=True)
class Fetched:
    """A folder with a model's own files, as its author published them."""

    folder: Path
    origin: str
    """For people and for `emberd.json`, for example "hub:owner/name@revision"."""
    licence: str | None = None
