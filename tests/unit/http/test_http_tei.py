from __future__ import annotations

from typing import Any

import aiohttp
import numpy as np
import pytest
from http_standin import MODEL, Rig, vector_of

from emberd.errors import OverloadedError, ShuttingDownError
from emberd.wire.snapshot import DaemonStats, EngineStats, Snapshot

LONG = "one two three four five six seven eight nine ten"


async def post(client: aiohttp.ClientSession, body: Any, path: str = "/embed") -> tuple[int, Any]:
    async with client.post(path, json=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("path", ["/embed", "/"])
@pytest.mark.parametrize("inputs", ["one", ["one"], ["one", "two"]])
async def test_the_answer_is_the_bare_rows(
    client: aiohttp.ClientSession, inputs: str | list[str], path: str
) -> None:
    status, rows = await post(client, {"inputs": inputs, "normalize": True}, path)
    texts = [inputs] if isinstance(inputs, str) else inputs
    assert status == 200
    np.testing.assert_array_equal(
        np.array(rows, dtype=np.float32), np.stack([vector_of(text) for text in texts])
    )


@pytest.mark.parametrize(
    ("options", "truncate"),
    [
        ({}, "error"),
        ({"truncate": False}, "error"),
        ({"truncate": True}, "end"),
        ({"truncate": True, "truncation_direction": "Right"}, "end"),
        ({"truncate": True, "truncation_direction": "left"}, "start"),
    ],
)
async def test_a_text_is_cut_only_where_that_was_asked(
    rig: Rig, client: aiohttp.ClientSession, options: dict[str, Any], truncate: str
) -> None:
    status, _ = await post(client, {"inputs": "short", **options})
    assert status == 200
    assert rig.service.calls[0][1]["truncate"] == truncate


async def test_a_text_over_the_window_is_an_error_unless_it_may_be_cut(
    client: aiohttp.ClientSession,
) -> None:
    status, answer = await post(client, {"inputs": ["a", LONG]})
    assert status == 400
    assert answer == {
        "error": "inputs[1]: over the model's window.",
        "error_type": "Validation",
    }
    status, _ = await post(client, {"inputs": ["a", LONG], "truncate": True})
    assert status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"inputs": "a", "normalize": False}, "normalize: vectors are always of length 1"),
        ({"inputs": [[1, 2]]}, "token ids are not taken"),
        ({"inputs": "a", "truncate": "yes"}, "truncate: expected `bool"),
        ({}, "missing required field `inputs`"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    client: aiohttp.ClientSession, body: Any, words: str
) -> None:
    status, answer = await post(client, body)
    assert status == 400
    assert set(answer) == {"error", "error_type"}
    assert words in answer["error"]


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        (OverloadedError("Full."), 429, "Overloaded"),
        (ShuttingDownError("Bye."), 503, "Unhealthy"),
        (RuntimeError(), 500, "Backend"),
    ],
)
async def test_a_failure_has_one_of_the_services_types(
    rig: Rig, client: aiohttp.ClientSession, fault: Exception, status: int, kind: str
) -> None:
    rig.service.fault = fault
    found, answer = await post(client, {"inputs": "a"})
    assert (found, answer["error_type"]) == (status, kind)


async def test_info_tells_of_the_default_model(rig: Rig, client: aiohttp.ClientSession) -> None:
    rig.snapshot = Snapshot(
        daemon=DaemonStats(version="1", pid=1),
        engine=EngineStats(queue_limit=65_536, batch_tokens=1_024),
    )
    async with client.get("/info") as response:
        answer = await response.json()
    assert answer["model_id"] == MODEL
    assert answer["max_input_length"] == 256
    assert answer["max_client_batch_size"] == 16_384
    assert answer["max_batch_tokens"] == 1_024
    assert answer["max_concurrent_requests"] == 65_536
    assert answer["auto_truncate"] is False


async def test_tokenize_is_not_offered(client: aiohttp.ClientSession) -> None:
    status, answer = await post(client, {"inputs": "a"}, "/tokenize")
    assert status == 404
    assert answer["error_type"] == "Validation"
