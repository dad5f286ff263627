"""The catalog names each model once, and finds it under each of its names."""

from __future__ import annotations

import re

import pytest

from emberd.models import CATALOG, DEFAULT_MODEL, canonical_name
from emberd.models.store import check_name


@pytest.mark.parametrize(
    "alias",
    [
        "all-MiniLM-L6-v2",
        "all-minilm-l6-v2",
        "sentence-transformers/all-MiniLM-L6-v2",
        "Sentence-Transformers/All-MiniLM-L6-v2",
    ],
)
def test_the_default_model_is_found_under_its_names(alias: str) -> None:
    assert canonical_name(alias) == DEFAULT_MODEL


def test_an_unknown_name_stays_as_it_is() -> None:
    assert canonical_name("Owner/Some-Model") == "Owner/Some-Model"


@pytest.mark.parametrize("name", sorted(CATALOG))
def test_every_entry_is_complete(name: str) -> None:
    entry = CATALOG[name]
    assert check_name(entry.name) == name == canonical_name(entry.repo)
    assert re.fullmatch(r"[\w-]+/[\w.-]+", entry.repo)
    assert entry.dim in (384, 768, 1024)
    assert 128 <= entry.max_tokens <= 512
    assert entry.licence
    assert entry.about


def test_the_default_model_is_pinned_to_a_package() -> None:
    package = CATALOG[DEFAULT_MODEL].package
    assert package is not None
    assert re.fullmatch(r"[\w.-]+==[\w.]+", package.requirement)
    assert re.fullmatch(r"[0-9a-f]{64}", package.sha256)
