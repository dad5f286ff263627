"""Models: the catalog, their sources, building and checking their graphs, the verified store.

Importing this is light: onnx, onnxruntime, numpy and huggingface_hub load when a pull needs them.
"""

from __future__ import annotations

from emberd.models.catalog import CATALOG, DEFAULT_MODEL, CatalogEntry, canonical_name
from emberd.models.info import ModelInfo, StoredModel
from emberd.models.progress import Progress
from emberd.models.pulling import pull
from emberd.models.store import ModelStore
from emberd.models.wanted import Source

__all__ = [
    "CATALOG",
    "DEFAULT_MODEL",
    "CatalogEntry",
    "ModelInfo",
    "ModelStore",
    "Progress",
    "Source",
    "StoredModel",
    "canonical_name",
    "pull",
]
