"""A model from the Hugging Face Hub, or from a server that speaks its protocol (HF_ENDPOINT).

The files go into a folder of ours and not into the Hub's cache, which would keep each model
twice; what that cache has already is taken from there. Partial files stay, so that the next pull
goes on where this one ended.
"""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Iterator
from pathlib import Path

from emberd.errors import ChecksumMismatchError, DownloadFailedError, ModelInvalidError
from emberd.models.bert.config import BERT_TYPES
from emberd.models.info import CONFIG_FILE, TOKENIZER_FILE, WEIGHTS_FILE
from emberd.models.progress import Watch
from emberd.models.recipe import ONNX_PLACES, is_bert, read_json
from emberd.models.sources import Fetched
from emberd.models.sources.hub_client import (
    RemoteFile,
    Revision,
    cached_file,
    download_file,
    find_revision,
    hub_errors,
    is_offline,
)

__all__ = ["fetch_cached", "fetch_hub"]

_SMALL_FILES = (
    CONFIG_FILE,
    TOKENIZER_FILE,
    "tokenizer_config.json",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "*Pooling/config.json",
)
_NEEDED = (CONFIG_FILE, TOKENIZER_FILE, "modules.json", WEIGHTS_FILE)
_READ_BYTES = 1 << 20


def fetch_hub(repo: str, revision: str, into: Path, watch: Watch) -> Fetched:
    """Download what is needed of a repository into the folder `into`, verified.

    With HF_HUB_OFFLINE set only the Hub's cache on this machine is used. Raises
    ModelNotFoundError (no such repository), DownloadFailedError (no answer, no access, cut off),
    ChecksumMismatchError, or ModelInvalidError when the repository holds nothing of use.
    """
    if is_offline():
        if (cached := fetch_cached(repo, revision)) is not None:
            return cached
        raise DownloadFailedError(
            f"HF_HUB_OFFLINE is set and {repo} is not complete in the Hub's cache on this machine. "
            "Unset it, or give a folder with the model's files.",
            details={"repo": repo},
        )
    with hub_errors(repo):
        watch.report("download", f"asking the Hub for {repo}")
        found = find_revision(repo, revision)
        into.mkdir(parents=True, exist_ok=True)
        for file in _wanted_files(found, into):
            _Transfer(found, file, into, watch).run()
    return Fetched(into, f"hub:{repo}@{found.commit}", found.licence)


def fetch_cached(repo: str, revision: str) -> Fetched | None:
    """The model in the Hub's cache on this machine, when it is complete; asks no network."""
    with hub_errors(repo):
        found = {path: cached_file(repo, revision, path) for path in _NEEDED}
    config = found[CONFIG_FILE]
    if config is None or None in found.values():
        return None
    folder = config.parent
    if not is_bert(folder) or not any(folder.glob("*Pooling/config.json")):
        return None
    return Fetched(folder, f"hub:{repo}@{folder.name}")


def _wanted_files(found: Revision, into: Path) -> Iterator[RemoteFile]:
    """The small files, then the weights: which ones, the small files in `into` decide."""
    if TOKENIZER_FILE not in found.files:
        raise ModelInvalidError(
            f"{found.repo} on the Hub has no tokenizer.json, which emberd needs. Download it, "
            "save a fast tokenizer beside it and pull the folder.",
            details={"repo": found.repo},
        )
    for pattern in _SMALL_FILES:
        for path in fnmatch.filter(found.files, pattern):
            yield found.files[path]
    for path in _weights(found, into):
        yield found.files[path]


def _weights(found: Revision, into: Path) -> list[str]:
    """The large files: safetensors when we build the architecture, else an ONNX export."""
    if WEIGHTS_FILE in found.files and is_bert(into):
        return [WEIGHTS_FILE]
    graph = next((place for place in ONNX_PLACES if place in found.files), None)
    if graph is None:
        kind = read_json(into / CONFIG_FILE).get("model_type", "not said")
        raise ModelInvalidError(
            f"{found.repo} on the Hub holds nothing that emberd can run: neither "
            f"model.safetensors of the BERT family ({', '.join(BERT_TYPES)}; its type is "
            f"{kind}) nor model.onnx.",
            details={"repo": found.repo},
        )
    data = (f"{graph}_data", f"{graph}.data")
    return [graph, *(path for path in found.files if path.startswith(data))]


class _Transfer:
    """One file on its way into a folder."""

    def __init__(self, found: Revision, file: RemoteFile, into: Path, watch: Watch) -> None:
        self.found = found
        self.file = file
        self.watch = watch
        self.target = into / file.path
        # The digest in the name: a part of another revision's file is not continued.
        self.partial = self.target.with_name(f"{self.target.name}.{file.digest[:16]}.part")

    def run(self) -> None:
        """Have the file in the folder, verified: kept, from the Hub's cache, or downloaded."""
        if self.is_whole(self.target):
            return
        self.target.parent.mkdir(parents=True, exist_ok=True)
        cached = cached_file(self.found.repo, self.found.commit, self.file.path)
        if cached is not None and self.is_whole(cached):
            shutil.copyfile(cached, self.partial)
        else:
            self.download()
        self.partial.replace(self.target)

    def download(self) -> None:
        download_file(self.found, self.file, self.partial, self.report)
        if self.is_whole(self.partial):
            return
        self.partial.unlink()
        raise ChecksumMismatchError(
            f"{self.file.path} of {self.found.repo} arrived damaged and was thrown away. Pull "
            "again; if it happens again, the server (HF_ENDPOINT) does not serve the model's own "
            "files.",
            details={"repo": self.found.repo, "file": self.file.path},
        )

    def is_whole(self, path: Path) -> bool:
        if not path.is_file():
            return False
        hasher = self.file.hasher()
        with path.open("rb") as stream:
            while chunk := stream.read(_READ_BYTES):
                hasher.update(chunk)
                self.watch.report("verify", self.file.path, stream.tell(), self.file.size)
        return bool(hasher.hexdigest() == self.file.digest)

    def report(self, done: int) -> None:
        what = f"{self.found.repo}/{self.file.path}"
        self.watch.report("download", what, done, self.file.size)
