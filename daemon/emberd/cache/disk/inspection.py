"""Look at a data file before LMDB maps it: a short or damaged one could end the process.

`lmdb.verify` walks every page with plain reads, at some 280 MB/s: in this process for small files,
in one of its own for large ones, so that it does not hold up the event loop.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from struct import Struct

from emberd.cache.disk.pages import untiled_page_in

__all__ = ["Finding", "Verdict", "inspect_data_file", "problems_in"]

# Below this a full check costs some 100 ms, so it is always made.
_ALWAYS_VERIFY_BYTES = 32 << 20
_VERIFY_APART_BYTES = 64 << 20
_VERIFY_TIMEOUT_S = 600.0

_MAGIC = 0xBEEFC0DE
_DATA_VERSION = 1  # of LMDB 0.9
# Behind the 16-byte page header, in the byte order of the machine: magic, version, two sizes,
# the free table (its first field is the page size), the main table, last page, transaction.
_META = Struct("=16x II 16x I 44x 48x QQ")

_HAS_PROBLEMS = 3
_VERIFY_SCRIPT = f"""
import sys
from pathlib import Path
from emberd.cache.disk.inspection import problems_in
problem = problems_in(Path(sys.argv[1]))
print(problem, end="")
sys.exit({_HAS_PROBLEMS} if problem else 0)
"""


class Verdict(Enum):
    FRESH = "fresh"
    """There is no data yet."""
    SOUND = "sound"
    DAMAGED = "damaged"
    NEWER = "newer"
    """Written by a later version of LMDB or of emberd."""


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: Verdict
    reason: str = ""


def inspect_data_file(file: Path, *, distrust: bool) -> Finding:
    """Is this LMDB data file safe to open? With `distrust` every page of any size is checked.

    Raises OSError where the file cannot be read at all.
    """
    size = file.stat().st_size if file.exists() else 0
    if size == 0:
        return Finding(Verdict.FRESH)
    with file.open("rb") as stream:
        head = stream.read(_META.size)
        if len(head) < _META.size:
            return Finding(Verdict.DAMAGED, f"it is {size} bytes long, less than one page")
        magic, version, page_bytes, _, _ = _META.unpack(head)
        if magic == _MAGIC and version > _DATA_VERSION:
            return Finding(Verdict.NEWER, f"it has LMDB's data format {version}")
        stream.seek(page_bytes)
        needed = _needed_bytes(head, stream.read(_META.size))
    if not distrust and needed is not None and needed <= size and size > _ALWAYS_VERIFY_BYTES:
        return Finding(Verdict.SOUND)
    problem = _verify(file, size)
    return Finding(Verdict.DAMAGED, problem) if problem else Finding(Verdict.SOUND)


def problems_in(file: Path) -> str:
    """The first thing that is wrong with the file's structure, "" when nothing is."""
    from lmdb.verify import verify  # noqa: PLC0415 - only where a check is due

    try:
        problems = verify(str(file), subdir=False)  # type: ignore[no-untyped-call]
        if problems:
            return str(problems[0])
        with file.open("rb") as stream:
            _, _, page_bytes, _, _ = _META.unpack(stream.read(_META.size))
        return untiled_page_in(file, page_bytes)
    except Exception as exc:  # whatever a hostile file provokes is a finding
        return str(exc) or type(exc).__name__


def _needed_bytes(first: bytes, second: bytes) -> int | None:
    """File size that the newer of the two meta pages speaks of; None where they make no sense."""
    if len(second) < _META.size:
        return None
    metas = [_META.unpack(first), _META.unpack(second)]
    if any(magic != _MAGIC or version != _DATA_VERSION for magic, version, *_ in metas):
        return None
    _, _, page_bytes, last_page, _ = max(metas, key=lambda meta: meta[4])
    return int((last_page + 1) * page_bytes)


def _verify(file: Path, size: int) -> str:
    if size <= _VERIFY_APART_BYTES:
        return problems_in(file)
    try:
        done = subprocess.run(
            # -P: a module of that name in the working folder is not ours.
            [sys.executable, "-P", "-c", _VERIFY_SCRIPT, str(file)],
            capture_output=True,
            timeout=_VERIFY_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"checking it took more than {_VERIFY_TIMEOUT_S:g} s"
    except OSError:
        return problems_in(file)  # no process to be had: then here
    if done.returncode == _HAS_PROBLEMS:
        return done.stdout.decode(errors="replace")
    return "" if done.returncode == 0 else problems_in(file)
