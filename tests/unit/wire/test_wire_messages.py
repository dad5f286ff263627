"""Params by position or by name."""

from __future__ import annotations

import pytest

from emberd.config import LimitSettings
from emberd.errors import InvalidParamsError
from emberd.wire import Limits, named_params

NAMES = ("texts", "model")


def test_params_may_be_positional_or_one_map() -> None:
    assert named_params([["a"], "m"], NAMES) == {"texts": ["a"], "model": "m"}
    assert named_params([["a"]], NAMES) == {"texts": ["a"]}
    assert named_params([{"model": "m"}], NAMES) == {"model": "m"}
    assert named_params([], NAMES) == {}


def test_names_packed_as_bin_are_read() -> None:
    assert named_params([{b"texts": ["a"]}], NAMES) == {"texts": ["a"]}


def test_too_many_positional_params_are_refused() -> None:
    with pytest.raises(InvalidParamsError, match="texts, model"):
        named_params([1, 2, 3], NAMES)


def test_the_limits_follow_the_settings() -> None:
    limits = Limits.from_settings(LimitSettings(frame_mib=2, texts=100_000))
    assert limits.frame_bytes == limits.string_bytes == 2 << 20
    assert limits.array == 800_000
