"""A model from a folder of the user's."""

from __future__ import annotations

from pathlib import Path

from emberd.errors import ModelNotFoundError
from emberd.models.sources import Fetched

__all__ = ["fetch_folder"]


def fetch_folder(folder: Path) -> Fetched:
    """The folder itself; nothing is copied yet. Raises ModelNotFoundError when it is none."""
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        kind = "is a file; give the folder that holds it" if folder.exists() else "is no folder"
        raise ModelNotFoundError(
            f"{folder} {kind}. A model's folder holds tokenizer.json, and config.json with "
            "model.safetensors, or an ONNX export.",
            details={"path": str(folder)},
        )
    return Fetched(folder, f"folder:{folder}")
