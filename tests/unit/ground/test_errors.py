from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd import errors
from emberd.errors import (
    ERRORS_BY_CODE,
    EmberdError,
    InvalidParamsError,
    OverloadedError,
    error_from_wire,
)


def test_every_error_class_has_a_code_of_its_own() -> None:
    classes = [
        kind
        for name in errors.__all__
        if isinstance(kind := getattr(errors, name), type) and kind is not EmberdError
    ]
    assert len({kind.code for kind in classes}) == len(classes)
    assert set(ERRORS_BY_CODE.values()) == set(classes)


@pytest.mark.parametrize("kind", ERRORS_BY_CODE.values(), ids=lambda kind: kind.code)
def test_an_error_survives_the_wire_with_its_class_and_details(kind: type[EmberdError]) -> None:
    sent = kind("Too much. Ask for less.", retry_after_ms=250, details={"field": "texts[3]"})
    got = error_from_wire(sent.to_wire())
    assert type(got) is kind
    assert got.message == sent.message
    assert got.retry_after_ms == 250
    assert got.details == {"field": "texts[3]"}


def test_the_text_form_is_read_back_as_the_same_class() -> None:
    got = error_from_wire(InvalidParamsError("texts: the list is empty.").to_text())
    assert type(got) is InvalidParamsError
    assert got.message == "texts: the list is empty."


@given(
    st.one_of(
        st.none(), st.integers(), st.text(), st.binary(), st.dictionaries(st.text(), st.text())
    )
)
def test_whatever_a_peer_sends_becomes_an_error_that_can_be_raised(value: object) -> None:
    assert isinstance(error_from_wire(value), EmberdError)


def test_an_error_can_be_pickled_to_another_process() -> None:
    sent = OverloadedError("The queue is full.", retry_after_ms=50, details={"queued": 9})
    got = pickle.loads(pickle.dumps(sent))
    assert (type(got), got.message, got.retry_after_ms, got.details) == (
        OverloadedError,
        "The queue is full.",
        50,
        {"queued": 9},
    )
