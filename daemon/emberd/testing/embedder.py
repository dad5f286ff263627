"""What every embedder promises, as tests to subclass.

class TestMyEmbedder(EmbedderContract):
    @pytest.fixture
    def embedder(self):
        return MyEmbedder(url="http://127.0.0.1:8080")

    @pytest.fixture
    def bad_text(self):
        return "a text that it refuses"

    @pytest.fixture
    def broken_embedder(self):
        return MyEmbedder(url="http://127.0.0.1:1")
"""
# ruff: noqa: S101 - these are tests, wherever they live

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import pytest

from emberd.errors import (
    EmbeddingFailedError,
    EmberdError,
    RateLimitedError,
    UpstreamUnavailableError,
)
from emberd.plugins.contracts import EmbeddedText, Embedder, EmbedderModel

__all__ = ["EmbedderContract"]

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

_HUGE_TEXT = "a long story " * 80_000
"""About 1 MiB, which is the most that the daemon takes by default."""


class EmbedderContract:
    """Subclass it and give it a pytest fixture `embedder`: one that works and is not closed.

    A fixture `bad_text` is a text that the embedder refuses by itself, and `broken_embedder` an
    embedder whose server is away; without them the tests that need them are skipped. Everything
    runs on one event loop, and the embedder is closed on it in the end.
    """

    @pytest.fixture
    def bad_text(self) -> str | None:
        """None: there is no such text."""
        return None

    @pytest.fixture
    def broken_embedder(self) -> Embedder | None:
        """None: it cannot be broken."""
        return None

    @pytest.fixture
    def run(self) -> Iterator[Run[Any]]:
        """Runs a coroutine to its end, always on the same loop."""
        with asyncio.Runner() as runner:
            yield runner.run

    @pytest.fixture
    def model(self, embedder: Embedder, run: Run[Any]) -> Iterator[EmbedderModel]:
        """The first of its models."""
        models: Sequence[EmbedderModel] = run(embedder.models())
        yield models[0]
        run(embedder.close())

    def test_it_is_an_embedder(self, embedder: Embedder, model: EmbedderModel) -> None:
        assert isinstance(embedder, Embedder)
        assert embedder.name
        assert embedder.batch_texts >= 1
        assert embedder.concurrency >= 1

    def test_its_models_can_be_told_apart(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        models: Sequence[EmbedderModel] = run(embedder.models())
        assert len({each.name for each in models}) == len(models)
        for each in models:
            assert len(bytes.fromhex(each.fingerprint)) == 16
            assert each.dim >= 1
            assert each.max_tokens >= 0
            assert each.fallback != each.name

    def test_every_text_has_a_vector_in_the_order_asked(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        texts = [f"text number {number}" for number in range(embedder.batch_texts)]
        found = run(embedder.embed(model.name, texts, "end"))
        backwards = run(embedder.embed(model.name, texts[::-1], "end"))
        assert len(found) == len(backwards) == len(texts)
        for one, other in zip(found, reversed(backwards), strict=True):
            assert np.allclose(_vector(one, model), _vector(other, model), atol=1e-3)

    def test_a_text_that_comes_twice_has_its_vector_twice(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        texts = ["again", "and", "again"][: embedder.batch_texts]
        found = [_vector(each, model) for each in run(embedder.embed(model.name, texts, "end"))]
        assert len(found) == len(texts)
        assert np.allclose(found[0], found[-1], atol=1e-3) == (texts[0] == texts[-1])

    def test_any_text_is_answered(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        for text in ["x", " leading and trailing ", "naïve 文本 🦄", 'quotes " and \\ and \x07\n']:
            (found,) = run(embedder.embed(model.name, [text], "end"))
            _vector(found, model)

    def test_no_texts_have_no_vectors(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        assert list(run(embedder.embed(model.name, [], "end"))) == []

    def test_a_huge_text_is_embedded_or_fails_alone(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        if embedder.batch_texts < 2:
            pytest.skip("it takes one text at a time")
        small, huge = run(embedder.embed(model.name, ["small", _HUGE_TEXT], "end"))
        _vector(small, model)
        if not isinstance(huge, EmberdError):
            _vector(huge, model)

    def test_a_bad_text_fails_alone(
        self, embedder: Embedder, model: EmbedderModel, bad_text: str | None, run: Run[Any]
    ) -> None:
        if bad_text is None or embedder.batch_texts < 3:
            pytest.skip("it has no such text, or takes fewer than three at a time")
        before, bad, after = run(embedder.embed(model.name, ["good", bad_text, "fine"], "end"))
        assert isinstance(bad, EmberdError)
        _vector(before, model)
        _vector(after, model)

    def test_calls_may_run_side_by_side(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        async def ask() -> list[Sequence[EmbeddedText | EmberdError]]:
            calls = [
                embedder.embed(model.name, [f"text {number}"], "end")
                for number in range(embedder.concurrency)
            ]
            return await asyncio.gather(*calls)

        for number, found in enumerate(run(ask())):
            (alone,) = run(embedder.embed(model.name, [f"text {number}"], "end"))
            assert np.allclose(_vector(found[0], model), _vector(alone, model), atol=1e-3)

    def test_a_call_that_is_given_up_does_no_harm(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        async def give_up() -> int:
            call = asyncio.ensure_future(embedder.embed(model.name, ["given up"], "end"))
            await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others, timeout=1)
            return len([task for task in others if not task.done()])

        before = run(_tasks())
        assert run(give_up()) <= before
        (found,) = run(embedder.embed(model.name, ["still here"], "end"))
        _vector(found, model)

    def test_stats_are_a_few_plain_figures(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        run(embedder.embed(model.name, ["text"], "end"))
        for name, value in embedder.stats().items():
            assert isinstance(name, str)
            assert isinstance(value, int | float | str)

    def test_a_failure_is_typed(self, broken_embedder: Embedder | None, run: Run[Any]) -> None:
        if broken_embedder is None:
            pytest.skip("it cannot be broken")
        with pytest.raises((UpstreamUnavailableError, RateLimitedError, EmbeddingFailedError)):
            run(_first_vector(broken_embedder))
        run(broken_embedder.close())

    def test_a_second_close_does_nothing(
        self, embedder: Embedder, model: EmbedderModel, run: Run[Any]
    ) -> None:
        run(embedder.close())
        run(embedder.close())


async def _tasks() -> int:
    return len(asyncio.all_tasks() - {asyncio.current_task()})


async def _first_vector(embedder: Embedder) -> None:
    models = await embedder.models()
    for answer in await embedder.embed(models[0].name, ["text"], "end"):
        if isinstance(answer, EmberdError):
            raise answer


def _vector(answer: EmbeddedText | EmberdError, model: EmbedderModel) -> np.ndarray[Any, Any]:
    """The vector as the daemon uses it, `(dim,)`, of length 1."""
    assert isinstance(answer, EmbeddedText), answer
    vector = np.asarray(answer.vector, np.float32)
    assert vector.shape == (model.dim,)
    assert np.isfinite(vector).all()
    assert vector.any()
    assert answer.tokens >= 0
    assert isinstance(answer.is_truncated, bool)
    unit: np.ndarray[Any, Any] = vector / np.linalg.norm(vector)
    return unit
