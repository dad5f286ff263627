"""The verified store of models: one folder a model, complete or absent."""

from __future__ import annotations

import difflib
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emberd.errors import (
    CancelledRequestError,
    ChecksumMismatchError,
    InvalidParamsError,
    ModelInvalidError,
    ModelNotFoundError,
)
from emberd.models.catalog import CATALOG, canonical_name, split_name
from emberd.models.files import locked, make_durable, sha256_of, storage_errors, sync
from emberd.models.info import INFO_FILE, StoredModel, read_info
from emberd.models.progress import Watch

__all__ = ["ModelStore", "check_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(:int8)?")
_DOWNLOADS_KEPT_S = 7 * 24 * 3600.0


def check_name(name: str) -> str:
    """`name`, when it can name a model (and so a folder); raises InvalidParamsError else."""
    if not _NAME.fullmatch(name):
        raise InvalidParamsError(
            f"{name!r} cannot name a model: use letters, digits, '.', '_' and '-' only, starting "
            "with a letter or digit. Only `:int8` may follow.",
            details={"field": "name"},
        )
    return name


class ModelStore:
    """Models under `root`: `<root>/<name>/` with `emberd.json`, the graph and the tokenizer
    (`<root>/<name>+int8/` for `<name>:int8`).

    A model lands by one rename, so readers need no lock. Names starting with a dot are the
    store's own: `.locks`, `.incoming` (being built) and `.downloads` (kept, so that an
    interrupted pull goes on where it was). Methods raise StorageError when the disk refuses.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def list(self) -> list[StoredModel]:
        """Every model, by name; reads one small file each. Unreadable ones are left out."""
        with storage_errors(self.root):
            folders = sorted(self.root.iterdir()) if self.root.is_dir() else []
        found = (_load(folder) for folder in folders if not folder.name.startswith("."))
        return [model for model in found if model is not None]

    def find(self, name: str) -> StoredModel | None:
        """The model of that name or alias, or None."""
        name = canonical_name(name)
        return _load(self.root / _folder(name)) if _NAME.fullmatch(name) else None

    def get(self, name: str) -> StoredModel:
        """Like `find`, but raises ModelNotFoundError, which says how to get the model."""
        model = self.find(name)
        if model is None:
            raise ModelNotFoundError(self._not_found(name), details={"model": name})
        return model

    def verify(self, model: StoredModel, watch: Watch | None = None) -> None:
        """Hash the model's files again.

        Raises ChecksumMismatchError naming the first file that is missing or has changed.
        """
        for name, expected in model.info.files.items():
            path = model.folder / name
            with storage_errors(self.root):
                actual = sha256_of(path, watch) if path.is_file() else "missing"
            if actual != expected:
                state = "is missing" if actual == "missing" else "has changed on disk"
                raise ChecksumMismatchError(
                    f"{name} of the model {model.info.name} {state}. Get it again with "
                    f"`emberd models pull {model.info.name}`.",
                    details={"model": model.info.name, "file": name},
                )

    def remove(self, name: str) -> None:
        """Delete a model; raises ModelNotFoundError when there is none."""
        name = canonical_name(name)
        folder = self.root / _folder(check_name(name))
        with storage_errors(self.root), self.lock(name, Watch()):
            if not folder.is_dir():
                raise ModelNotFoundError(self._not_found(name), details={"model": name})
            self._set_aside(folder)
            shutil.rmtree(self.downloads(name), ignore_errors=True)

    @contextmanager
    def lock(self, name: str, watch: Watch) -> Iterator[None]:
        """One pull of a model at a time, among all processes; others wait here."""
        with storage_errors(self.root):
            folder = self.root / ".locks"
            folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f"{_folder(check_name(name))}.lock", watch):
            yield

    @contextmanager
    def incoming(self, name: str) -> Iterator[Path]:
        """An empty folder to build the model in, gone afterwards; hold its lock.

        Folders that an interrupted pull of the same model left are cleared first.
        """
        for leftover in (self.root / ".incoming").glob(f"{_folder(name)}@*"):
            shutil.rmtree(leftover, ignore_errors=True)
        with self._passing(_folder(name)) as folder:
            yield folder

    def downloads(self, name: str) -> Path:
        """Where a pull of the model keeps what it has fetched until the model is installed."""
        return self.root / ".downloads" / _folder(name)

    def install(self, folder: Path, name: str) -> StoredModel:
        """Move a finished folder into place, replacing an older model; hold its lock."""
        target = self.root / _folder(name)
        info = read_info(folder)
        with storage_errors(self.root):
            folder.chmod(0o755)
            make_durable(folder)
            if target.exists():
                self._set_aside(target)
            folder.rename(target)
            sync(self.root)
            shutil.rmtree(self.downloads(name), ignore_errors=True)
        return StoredModel(info, target)

    def tidy(self) -> None:
        """Delete downloads of pulls that nobody has come back to for a week."""
        oldest = time.time() - _DOWNLOADS_KEPT_S
        no_waiting = Watch(cancelled=lambda: True)
        for folder in (self.root / ".downloads").glob("*"):
            with suppress(CancelledRequestError), self.lock(folder.name, no_waiting):
                if folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _passing(self, folder_name: str) -> Iterator[Path]:
        with storage_errors(self.root):
            parent = self.root / ".incoming"
            parent.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=f"{folder_name}@", dir=parent))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _set_aside(self, folder: Path) -> None:
        """Take a model out of sight by one rename, then delete it at leisure."""
        with self._passing(folder.name) as aside:
            folder.rename(aside / "old")

    def _not_found(self, name: str) -> str:
        known = {model.info.name for model in self.list()}
        wanted = canonical_name(name)
        if split_name(wanted)[0] in CATALOG:
            return f"The model {wanted} is not in the store. Get it: `emberd models pull {wanted}`."
        near = difflib.get_close_matches(wanted, sorted(known | set(CATALOG)), n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        return (
            f"There is no model {name!r}. {hint}`emberd models list` shows the models that are "
            "here and those that can be pulled; `emberd models pull` also takes a Hub name "
            "(owner/name) or a folder."
        )


def _folder(name: str) -> str:
    """A colon is no part of a file's name everywhere; a plus is part of no model's name."""
    return name.replace(":", "+")


def _load(folder: Path) -> StoredModel | None:
    if not (folder / INFO_FILE).is_file():
        return None
    try:
        return StoredModel(read_info(folder), folder)
    except ModelInvalidError:
        return None
