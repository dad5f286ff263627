from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.errors import InvalidParamsError
from emberd.service.api import METHODS, describe
from emberd.service.params import EmbedParams, NoParams, SubscribeParams, bind


def test_named_and_positional_values_mean_the_same() -> None:
    assert bind([{"texts": ["a"], "model": "m"}], EmbedParams) == bind([["a"], "m"], EmbedParams)


def test_a_bare_string_is_one_text() -> None:
    assert bind(["hello"], EmbedParams).texts == "hello"


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ([{"texts": ["a", 3]}], "texts[1]", "expected `str`, got `int`"),
        ([{"texts": {}}], "texts", "expected"),
        ([], "texts", "is missing"),
        ([{"textz": []}], "textz", "did you mean 'texts'?"),
        ([{"texts": "a", "dtype": "f64"}], "dtype", "one of f32, f16, i8, bit"),
        ([{"texts": "a", "dimensions": 0}], "dimensions", ">= 1"),
        ([{"texts": "a", "deadline_ms": -1}], "deadline_ms", "> 0"),
        ([{"texts": "a", "partial": "yes"}], "partial", "expected `bool`"),
        ([{1: 2}], "1", "Unknown parameter"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name_with_a_hint(
    values: list[Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        bind(values, EmbedParams)
    assert caught.value.details["field"] == field
    assert words in caught.value.message


def test_too_many_positional_values_are_refused() -> None:
    with pytest.raises(InvalidParamsError, match="3 positional parameters"):
        bind([1, 2, 3], NoParams)


def test_an_interval_has_bounds() -> None:
    with pytest.raises(InvalidParamsError, match="interval_s"):
        bind([{"interval_s": 0}], SubscribeParams)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.sampled_from(sorted(METHODS)), st.lists(plain, max_size=4))
def test_nothing_but_a_typed_error_comes_of_any_params(name: str, values: list[Any]) -> None:
    kind = METHODS[name].params
    with contextlib.suppress(InvalidParamsError):
        assert isinstance(bind(values, kind), kind)


def test_the_method_table_describes_every_parameter() -> None:
    for method in describe():
        assert method["summary"].endswith(".")
        for param in method["params"]:
            assert param["type"], (method["name"], param["name"])
            assert param["doc"], (method["name"], param["name"])
