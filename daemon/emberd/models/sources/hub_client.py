"""The one place that knows huggingface_hub: what a repository holds, and getting one file of it.

Its foreign errors are translated here. It is typed Any, for what it exports differs from version
to version.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from emberd.errors import DownloadFailedError, EmberdError, ModelNotFoundError

__all__ = [
    "RemoteFile",
    "Revision",
    "cached_file",
    "download_file",
    "find_revision",
    "hub_errors",
    "is_offline",
]

WRITE_BYTES = 1 << 20
_ANSWER_S = 10.0
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO, errno.EFBIG}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a revision: `digest` is git's for small files, sha256 for large (LFS) ones."""

    path: str
    size: int | None
    digest: str
    is_lfs: bool

    def hasher(self) -> Any:
        """A fresh hash object; its hex digest over the content is `digest`."""
        if self.is_lfs:
            return hashlib.sha256()
        # The id of a git blob: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        return hashlib.sha1(b"blob %d\0" % (self.size or 0), usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class Revision:
    """A repository at one commit."""

    repo: str
    commit: str
    licence: str | None
    files: dict[str, RemoteFile]


def is_offline() -> bool:
    """Whether HF_HUB_OFFLINE forbids asking the Hub."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def find_revision(repo: str, revision: str) -> Revision:
    """Ask the Hub what a repository holds; call within `hub_errors`."""
    hub, _ = _library()
    api = hub.HfApi(endpoint=_endpoint(), library_name="emberd")
    found = api.model_info(repo, revision=revision, files_metadata=True, timeout=_ANSWER_S)
    files = {file.path: file for file in map(_remote_file, found.siblings or [])}
    licences = [tag for tag in found.tags or [] if tag.startswith("license:")]
    return Revision(
        repo,
        str(found.sha),
        licences[0].partition(":")[2] if licences else None,
        {path: file for path, file in files.items() if _stays_inside(path)},
    )


def cached_file(repo: str, revision: str, path: str) -> Path | None:
    """The file in the Hub's own cache on this machine; asks no network."""
    hub, _ = _library()
    found = hub.try_to_load_from_cache(repo, path, revision=revision)
    return Path(found) if isinstance(found, str) else None


def download_file(
    revision: Revision, file: RemoteFile, partial: Path, report: Callable[[int], None]
) -> None:
    """Download the file to `partial`, going on where that ends; call within `hub_errors`.

    `report` gets the bytes that are there, after each piece; what it raises ends the download.
    """
    with partial.open("ab") as stream:
        start = stream.tell()
        while file.size is None or start < file.size:
            try:
                _append(revision, file, stream, report)
            except OSError:  # older versions of the library do not go on by themselves
                if stream.tell() == start:
                    raise
            else:
                return
            start = stream.tell()


def _append(
    revision: Revision, file: RemoteFile, stream: IO[bytes], report: Callable[[int], None]
) -> None:
    hub, helpers = _library()
    url = hub.hf_hub_url(revision.repo, file.path, revision=revision.commit, endpoint=_endpoint())
    hub.file_download.http_get(
        url,
        _Reporting(stream, report),
        resume_size=stream.tell(),
        headers=helpers.build_hf_headers(library_name="emberd"),
        expected_size=file.size,
    )


class _Reporting:
    """The part of a file that `http_get` writes through; every write is a step of progress."""

    def __init__(self, stream: IO[bytes], report: Callable[[int], None]) -> None:
        self._stream = stream
        self._report = report
        self.seek, self.tell, self.truncate = stream.seek, stream.tell, stream.truncate
        report(stream.tell())

    def write(self, data: bytes) -> int:
        count = self._stream.write(data)
        self._report(self._stream.tell())
        return count


@contextmanager
def hub_errors(repo: str) -> Iterator[None]:
    """Every foreign error of the Hub becomes one of ours, here and nowhere else."""
    from huggingface_hub import errors  # noqa: PLC0415 - see _library

    try:
        yield
    except EmberdError:
        raise
    except errors.GatedRepoError as exc:
        raise DownloadFailedError(
            f"{repo} is gated: accept its terms on the Hub, then set HF_TOKEN and pull again.",
            details={"repo": repo},
        ) from exc
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as exc:
        raise ModelNotFoundError(
            f"The Hub has no model {repo} that you may read. Check the name; for a private one "
            "set HF_TOKEN.",
            details={"repo": repo},
        ) from exc
    except errors.HFValidationError as exc:
        raise ModelNotFoundError(
            f"{repo!r} is no name of a model on the Hub; they read owner/name.",
            details={"repo": repo},
        ) from exc
    except Exception as exc:  # its HTTP library differs from version to version
        if isinstance(exc, OSError) and exc.errno in _DISK_ERRORS:
            raise  # the store has the words for it
        raise DownloadFailedError(
            f"{repo} could not be downloaded from the Hub: {_first_line(exc)}. Check the network "
            "(HF_ENDPOINT names a mirror) and pull again; what has arrived is kept.",
            details={"repo": repo},
        ) from exc


def _library() -> tuple[Any, Any]:
    """huggingface_hub and its helpers, made silent; loading it costs 0.3 s, so only when used."""
    import huggingface_hub  # noqa: PLC0415
    from huggingface_hub import constants, file_download, utils  # noqa: PLC0415, F401

    helpers: Any = utils
    helpers.disable_progress_bars("huggingface_hub.http_get")
    helpers.logging.set_verbosity_error()
    # Its own 10 MB are what a broken connection loses, and what one step of progress is.
    constants.DOWNLOAD_CHUNK_SIZE = WRITE_BYTES
    return huggingface_hub, helpers


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT") or None


def _remote_file(sibling: Any) -> RemoteFile:
    if sibling.lfs is not None:
        return RemoteFile(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256, is_lfs=True)
    return RemoteFile(sibling.rfilename, sibling.size, sibling.blob_id or "", is_lfs=False)


def _stays_inside(path: str) -> bool:
    """Whether a path that a server names lies below the folder that it is written to."""
    return not path.startswith("/") and ".." not in path.split("/")


def _first_line(exc: Exception) -> str:
    text = str(exc).strip() or type(exc).__name__
    return text.splitlines()[0].rstrip(".")
