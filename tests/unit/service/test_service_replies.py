"""What travels is what is kept, in whatever form it was asked for."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from emberd.testing import DeterministicEmbedder, InProcessDaemon
from emberd.wire.vectors import decode_vectors

TEXTS = [f"text number {number}" for number in range(30)] + ["one two three four five"]


@pytest.fixture(scope="module", params=["f16", "f32"])
def daemon(request: pytest.FixtureRequest) -> Iterator[InProcessDaemon]:
    settings = {"cache": {"dtype": request.param}}
    embedder = DeterministicEmbedder(dim=100, max_tokens=4)
    with InProcessDaemon(settings=settings, embedder=embedder) as daemon:
        yield daemon


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("count", [1, 31])
def test_the_clients_vectors_are_those_of_the_wires_float32(
    daemon: InProcessDaemon, count: int, use_cache: bool
) -> None:
    client = daemon.client()
    texts = TEXTS[-count:]
    plain = client.call("embed", texts=texts, use_cache=use_cache)
    assert plain["vectors"]["dtype"] == "f32"
    found = client.embed_detailed(texts, use_cache=use_cache)
    assert found.vectors.tobytes() == decode_vectors(plain["vectors"]).tobytes()
    assert (found.tokens, found.truncated) == (plain["tokens"], plain["truncated"])
    assert found.truncated == [count - 1]
    assert client.embed(texts, use_cache=use_cache).tobytes() == found.vectors.tobytes()


@pytest.mark.parametrize("count", [1, 31])
def test_float16_travels_as_it_does_after_rounding(daemon: InProcessDaemon, count: int) -> None:
    client = daemon.client()
    full = decode_vectors(client.call("embed", texts=TEXTS[:count])["vectors"])
    halves = client.call("embed", texts=TEXTS[:count], dtype="f16")["vectors"]
    assert halves["data"] == full.astype("<f2").tobytes()
    assert halves["shape"] == [count, 100]


def test_a_brief_reply_says_only_what_is_new(daemon: InProcessDaemon) -> None:
    client = daemon.client()
    whole = client.call("embed", texts=TEXTS)
    brief = client.call("embed", texts=TEXTS, brief=True)
    assert brief.keys() == {"count", "vectors", "hits", "tokens", "truncated"}
    assert brief.items() <= (whole | {"hits": {"memory": len(TEXTS)}}).items()
    assert client.call("embed", texts=TEXTS[:1], brief=True).keys() == brief.keys() - {"truncated"}


def test_a_brief_reply_tells_of_errors_and_of_work(daemon: InProcessDaemon) -> None:
    texts, options = ["new one", "new one", "a b c d e"], {"partial": True, "truncate": "error"}
    reply = daemon.client().call("embed", texts=texts, brief=True, **options)
    assert (reply["count"], reply["computed"], reply["deduplicated"]) == (3, 1, 1)
    assert [error["index"] for error in reply["errors"]] == [2]


def test_a_brief_request_is_listed_like_any_other(daemon: InProcessDaemon) -> None:
    client = daemon.client()
    client.embed(TEXTS[:3])
    client.embed(TEXTS[:3])
    row = client.requests().requests[0]
    assert (row.method, row.texts, row.hits, row.computed) == ("embed", 3, {"memory": 3}, 0)


def test_dimensions_are_cut_before_anything_is_rounded_again(daemon: InProcessDaemon) -> None:
    client = daemon.client()
    cut = client.embed(TEXTS, dimensions=10)
    plain = client.call("embed", texts=TEXTS, dimensions=10)
    assert cut.tobytes() == decode_vectors(plain["vectors"]).tobytes()
    assert np.allclose(np.linalg.norm(cut, axis=1), 1, atol=1e-6)
