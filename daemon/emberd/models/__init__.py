"""Models: the catalog, their sources, building and checking their graphs, the verified store.

Importing this is light: onnx, onnxruntime, numpy and huggingface_hub load when a pull needs them.
"""

from __future__ import annotations

from emberd.models.catalog import (
    CATALOG,
    DEFAULT_MODEL,
    PRECISIONS,
    CatalogEntry,
    canonical_name,
    named,
    split_name,
)
from emberd.models.info import Accuracy, Floor, ModelInfo, Precision, StoredModel
from emberd.models.progress import Progress
from emberd.models.pulling import pull
from emberd.models.store import ModelStore
from emberd.models.wanted import Source

__all__ = [
    "CATALOG",
    "DEFAULT_MODEL",
    "PRECISIONS",
    "Accuracy",
    "CatalogEntry",
    "Floor",
    "ModelInfo",
    "ModelStore",
    "Precision",
    "Progress",
    "Source",
    "StoredModel",
    "canonical_name",
    "named",
    "pull",
    "split_name",
]
