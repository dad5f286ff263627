from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cache_helpers import ram_folder


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In RAM where the system has it: these tests commit thousands of times, and the promises
    that need a disk (fsync) cannot be seen from here anyway."""
    with tempfile.TemporaryDirectory(dir=ram_folder(), prefix="emberd-cache-") as folder:
        yield Path(folder)
