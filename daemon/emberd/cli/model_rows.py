"""Models as plain rows, read from the store and the catalog without a daemon."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from emberd.models import CATALOG, CatalogEntry, ModelStore, StoredModel, canonical_name

if TYPE_CHECKING:
    from emberd.cli.context import App

__all__ = ["USEFUL_SPEEDUP", "accuracy_text", "catalog_row", "list_rows", "model_map", "size_of"]


USEFUL_SPEEDUP = 1.2
"""Less is not worth other vectors: a processor without VNNI or AMX shows about 1."""


def list_rows(app: App) -> list[dict[str, Any]]:
    """What the daemon's `models.list` says, with nothing loaded."""
    default = canonical_name(app.settings.models.default)
    rows = [_stored_row(model) for model in ModelStore(app.paths.models).list()]
    names = {row["name"] for row in rows}
    rows += [_entry_row(entry) for entry in CATALOG.values() if entry.name not in names]
    return [{**row, "is_default": row["name"] == default} for row in rows]


def catalog_row(app: App, name: str) -> dict[str, Any] | None:
    """What the catalog says of a model, or None where it does not know it."""
    entry = CATALOG.get(canonical_name(name))
    if entry is None:
        return None
    default = canonical_name(app.settings.models.default)
    about = {"prompts": dict(entry.prompts), "about": entry.about}
    return {**_entry_row(entry), **about, "is_default": entry.name == default}


def _entry_row(entry: CatalogEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "state": "available",
        "dim": entry.dim,
        "max_tokens": entry.max_tokens,
        "fingerprint": None,
        "licence": entry.licence,
        "source": entry.repo,
        "precision": "exact",
        "accuracy": None,
        "size_bytes": None,
    }


def _stored_row(model: StoredModel) -> dict[str, Any]:
    keys = ("name", "dim", "max_tokens", "fingerprint", "licence", "source", "precision")
    row = {key: getattr(model.info, key) for key in keys}
    row["accuracy"] = msgspec.to_builtins(model.info.accuracy)
    return {**row, "state": "stored", "size_bytes": size_of(model)}


def accuracy_text(found: Mapping[str, Any]) -> str:
    """A quantised model's figures in one line, and a warning where it is no quicker."""
    text = (
        f"cosine to exact {found['mean_cosine']:.4f} in the mean, {found['least_cosine']:.4f} at "
        f"least ({found['texts']} texts); {found['speedup']:g} times as quick"
    )
    if found["speedup"] >= USEFUL_SPEEDUP:
        return text
    return f"{text}: this processor gains little from int8, better use the exact model"


def size_of(model: StoredModel) -> int:
    """Bytes of all files of a stored model."""
    return sum(file.stat().st_size for file in model.folder.iterdir() if file.is_file())


def model_map(model: StoredModel) -> dict[str, Any]:
    """Everything that is known of a stored model."""
    known: dict[str, Any] = msgspec.to_builtins(model.info)
    return {**known, "state": "stored", "folder": str(model.folder), "size_bytes": size_of(model)}
