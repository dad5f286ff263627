"""Environments for other programs: a virtual environment each, made once and kept."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import platformdirs

from bench.benchmark import LeftOutError

__all__ = ["environment"]

_ERROR_LINES = 3


def environment(name: str, requirements: Sequence[str]) -> Path:
    """The Python of an environment that has the requirements; installs them the first time.

    Raises LeftOutError, with pip's last words, where they cannot be installed here.
    """
    digest = hashlib.blake2b("\n".join((sys.version, *requirements)).encode(), digest_size=4)
    folder = platformdirs.user_cache_path("emberd-bench") / f"{name}-{digest.hexdigest()}"
    python = folder / "bin" / "python"
    is_whole = folder / "is-whole"
    if is_whole.exists():
        return python
    print(f"\n  installing {' '.join(requirements)} ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run(name, sys.executable, "-m", "venv", str(folder))
    _run(name, str(python), "-m", "pip", "install", "--quiet", *requirements)
    is_whole.touch()
    return python


def _run(name: str, *words: str) -> None:
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    if found.returncode:
        last = " ".join(found.stderr.strip().splitlines()[-_ERROR_LINES:])
        raise LeftOutError(f"{name} cannot be installed here: {last}")
