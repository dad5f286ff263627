"""Cutting texts into requests: nothing lost, nothing over a limit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.client.chunks import Chunk, ChunkPlan, achunks, chunks, cut
from emberd.errors import InvalidParamsError, TextTooLongError
from emberd.wire import Encoder, ServerLimits

TEXTS = st.lists(st.text(max_size=30), max_size=60)
PLANS = st.builds(
    ChunkPlan,
    texts=st.integers(1, 20),
    size_bytes=st.integers(1, 200),
    frame_bytes=st.just(1_000),
    in_flight=st.integers(1, 4),
)


@given(TEXTS, PLANS)
def test_the_chunks_are_the_texts_in_order(texts: list[str], plan: ChunkPlan) -> None:
    found = list(chunks(iter(texts), plan))
    assert [text for chunk in found for text in chunk.texts] == texts
    for chunk in found:
        assert texts[chunk.offset : chunk.offset + len(chunk.texts)] == chunk.texts


@given(TEXTS, PLANS)
def test_no_chunk_is_over_a_limit_unless_one_text_is(texts: list[str], plan: ChunkPlan) -> None:
    for chunk in chunks(texts, plan):
        assert 1 <= len(chunk.texts) <= plan.texts
        size = len(Encoder().notification("", chunk.texts)) - 6
        assert size <= plan.size_bytes or len(chunk.texts) == 1


@given(TEXTS, PLANS)
def test_texts_that_are_all_here_are_cut_alike(texts: list[str], plan: ChunkPlan) -> None:
    try:
        expected = list(chunks(texts, plan))
    except TextTooLongError:
        with pytest.raises(TextTooLongError):
            list(cut(texts, plan))
    else:
        assert list(cut(texts, plan)) == expected


@given(TEXTS, PLANS)
def test_texts_that_fit_are_one_chunk(texts: list[str], plan: ChunkPlan) -> None:
    if plan.fits(texts):
        assert len(list(chunks(texts, plan))) <= 1


@given(TEXTS, PLANS)
async def test_texts_that_arrive_over_time_are_cut_alike(texts: list[str], plan: ChunkPlan) -> None:
    async def arriving() -> AsyncIterator[str]:
        for text in texts:
            yield text

    expected = list(chunks(texts, plan))
    assert [chunk async for chunk in achunks(arriving(), plan)] == expected
    assert [chunk async for chunk in achunks(texts, plan)] == expected


def test_a_plan_stays_within_the_daemons_limits() -> None:
    plan = ChunkPlan.within(ServerLimits(frame_mib=1, texts=10, requests_in_flight=2))
    assert (plan.texts, plan.in_flight) == (10, 2)
    assert plan.size_bytes == 1 << 19
    assert plan.frame_bytes < 1 << 20


def test_a_text_that_no_request_can_hold_is_named() -> None:
    plan = ChunkPlan(frame_bytes=100)
    with pytest.raises(TextTooLongError) as caught:
        list(chunks(["a", "b" * 101], plan))
    assert caught.value.details["index"] == 1


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        list(chunks(["a", None], ChunkPlan()))  # type: ignore[list-item]
    assert caught.value.details == {"field": "texts[1]", "index": 1}
    assert "NoneType" in caught.value.message


def test_a_text_that_utf8_cannot_carry_is_named() -> None:
    with pytest.raises(InvalidParamsError, match=r"texts\[2\] holds a lone surrogate") as caught:
        list(chunks(["a", "\U0001f600", "\ud83d"], ChunkPlan()))
    assert caught.value.details["index"] == 2


def test_chunks_hold_only_one_chunk_of_an_endless_source() -> None:
    pulled = 0

    def endless() -> object:
        nonlocal pulled
        while True:
            pulled += 1
            yield "x"

    found = chunks(endless(), ChunkPlan(texts=5))  # type: ignore[arg-type]
    assert next(found) == Chunk(0, ["x"] * 5)
    assert pulled == 6
