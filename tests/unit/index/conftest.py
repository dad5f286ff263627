from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from index_helpers import Told, temporary_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder in RAM; what needs a disk (fsync) cannot be seen from here anyway."""
    with temporary_folder() as path:
        yield Path(path)


@pytest.fixture
def told() -> Told:
    return Told([])
