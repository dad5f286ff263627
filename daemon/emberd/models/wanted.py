"""What a pull was asked for: a folder, or a repository that the catalog may know."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from emberd.errors import InvalidParamsError, ModelNotFoundError
from emberd.models.catalog import CATALOG, CatalogEntry, canonical_name
from emberd.models.info import StoredModel
from emberd.models.store import ModelStore, check_name

__all__ = ["Source", "Wanted", "refuse_another_model", "what_is_wanted"]

Source = Literal["auto", "hub", "package", "folder"]
_SOURCES: tuple[Source, ...] = ("auto", "hub", "package", "folder")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model that was asked for; `name` is what the store will call it."""

    name: str
    folder: Path | None = None
    repo: str = ""
    entry: CatalogEntry | None = None

    @property
    def revision(self) -> str:
        return self.entry.revision if self.entry else "main"

    def is_same_as(self, model: StoredModel) -> bool:
        """Whether a stored model came from where this one would."""
        origins = {f"folder:{self.folder}"} if self.folder else {f"hub:{self.repo}"}
        if self.entry is not None and self.entry.package is not None:
            origins.add(f"package:{self.entry.package.requirement}")
        source = model.info.source
        return any(source == origin or source.startswith(f"{origin}@") for origin in origins)


def what_is_wanted(name_or_path: str, name: str | None, source: Source) -> Wanted:
    """Read the arguments of a pull; raises InvalidParamsError or ModelNotFoundError."""
    if source not in _SOURCES:
        raise InvalidParamsError(
            f"{source!r} is no source; use one of {', '.join(_SOURCES)}.",
            details={"field": "source"},
        )
    entry = CATALOG.get(canonical_name(name_or_path))
    if source == "folder" or (source == "auto" and _is_folder(name_or_path, entry)):
        folder = Path(name_or_path).expanduser().absolute()
        return Wanted(check_name(name or folder.name), folder=folder)
    if entry is not None:
        return Wanted(check_name(name or entry.name), repo=entry.repo, entry=entry)
    if _HUB_NAME.fullmatch(name_or_path):
        return Wanted(check_name(name or name_or_path.partition("/")[2]), repo=name_or_path)
    raise ModelNotFoundError(
        f"{name_or_path!r} is neither a model of the catalog (`emberd models list`), nor a name "
        "on the Hub (owner/name), nor a folder.",
        details={"model": name_or_path},
    )


def refuse_another_model(wanted: Wanted, store: ModelStore) -> None:
    """Raise InvalidParamsError where a model would take another one's name unasked."""
    existing = store.find(wanted.name)
    is_other = existing is not None and not wanted.is_same_as(existing)
    if wanted.entry is None and (is_other or wanted.name in CATALOG):
        raise InvalidParamsError(
            f"The name {wanted.name} belongs to another model. Choose one with `--name`; "
            f"`--name {wanted.name}` takes it all the same.",
            details={"field": "name"},
        )


def _is_folder(text: str, entry: CatalogEntry | None) -> bool:
    """Written as a path, or a folder that is there; a catalog's name is not taken for one."""
    is_path = text.startswith((".", "/", "~"))
    return is_path or (entry is None and bool(text) and Path(text).is_dir())
