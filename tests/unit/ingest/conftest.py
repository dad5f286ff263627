"""Files to index, and collections to index them into."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from small_collections import DirectClient, SmallCollections

MakeTree = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Writes files below `tmp_path / "tree"`; names that end in a slash are empty folders."""
    root = tmp_path / "tree"

    def make(files: dict[str, str | bytes]) -> Path:
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            file = root / name
            if name.endswith("/"):
                file.mkdir(parents=True, exist_ok=True)
                continue
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return make


@pytest.fixture
def collections() -> SmallCollections:
    return SmallCollections()


@pytest.fixture
def client(collections: SmallCollections) -> DirectClient:
    return DirectClient(collections)
