from __future__ import annotations

import base64
from typing import Any

import aiohttp
import numpy as np
import pytest
from http_standin import DIM, MODEL, Rig, vector_of

from emberd.errors import (
    DeadlineExceededError,
    EmbeddingFailedError,
    OverloadedError,
    ShuttingDownError,
)

LONG = "one two three four five six seven eight nine ten"


async def post(client: aiohttp.ClientSession, body: Any) -> tuple[int, Any]:
    async with client.post("/v1/embeddings", json=body) as response:
        return response.status, await response.json()


async def test_one_text_gives_openais_shape(client: aiohttp.ClientSession) -> None:
    status, answer = await post(client, {"model": MODEL, "input": "hello there", "user": "me"})
    assert status == 200
    assert list(answer) == ["object", "data", "model", "usage"]
    assert answer["object"] == "list"
    assert answer["model"] == MODEL
    assert answer["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    [item] = answer["data"]
    assert item["object"] == "embedding"
    assert item["index"] == 0
    np.testing.assert_array_equal(
        np.array(item["embedding"], dtype=np.float32), vector_of("hello there")
    )


async def test_base64_and_floats_are_the_same_vectors(client: aiohttp.ClientSession) -> None:
    texts = [f"text {n}" for n in range(200)]  # more than one block, made on a thread
    _, floats = await post(client, {"input": texts, "encoding_format": "float"})
    _, packed = await post(client, {"input": texts, "encoding_format": "base64"})
    assert [item["index"] for item in packed["data"]] == list(range(200))
    for text, number, code in zip(texts, floats["data"], packed["data"], strict=True):
        row = np.frombuffer(base64.b64decode(code["embedding"]), "<f4")
        np.testing.assert_array_equal(row, vector_of(text))
        np.testing.assert_array_equal(np.array(number["embedding"], dtype=np.float32), row)


async def test_the_model_may_be_left_out_and_may_be_an_alias(
    client: aiohttp.ClientSession,
) -> None:
    for body in ({"input": "a"}, {"input": "a", "model": f"sentence-transformers/{MODEL}"}):
        status, answer = await post(client, body)
        assert (status, answer["model"]) == (200, MODEL)


async def test_a_vector_can_be_asked_for_shorter(client: aiohttp.ClientSession) -> None:
    _, answer = await post(client, {"input": "a", "dimensions": 64})
    assert len(answer["data"][0]["embedding"]) == 64


async def test_a_placeholder_model_is_an_error_that_lists_what_there_is(
    client: aiohttp.ClientSession,
) -> None:
    status, answer = await post(client, {"input": "a", "model": "text-embedding-3-small"})
    assert status == 404
    error = answer["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert error["type"] == "invalid_request_error"
    assert f"Models here: {MODEL}." in error["message"]


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2], [3]]])
async def test_token_ids_are_refused_with_the_reason(
    client: aiohttp.ClientSession, ids: list[Any]
) -> None:
    status, answer = await post(client, {"input": ids})
    assert status == 400
    assert "token ids are not taken" in answer["error"]["message"]
    assert answer["error"]["param"] == "input"


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({}, "body", "missing required field `input`"),
        ({"input": []}, "input", "input: the list is empty"),
        ({"input": None}, "input", "one text or a list of texts"),
        ({"input": ["a", None]}, "input[1]", "one text or a list of texts"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format", "one of float, base64"),
        ({"input": "a", "dimensions": "64"}, "dimensions", "expected `int"),
        ({"input": "a", "model": 3}, "model", "expected `str"),
        ({"input": "a", "prompt_name": "query"}, "prompt_name", "prompt_name: "),
        ({"input": ["a", LONG], "truncate": "error"}, "input[1]", "input[1]: over the model"),
        ([], "body", "expected `object`"),
    ],
)
async def test_a_wrong_field_is_named_in_the_clients_own_words(
    client: aiohttp.ClientSession, body: Any, param: str, words: str
) -> None:
    status, answer = await post(client, body)
    error = answer["error"]
    assert status == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert error["param"] == param
    assert words in error["message"]


async def test_a_truncated_text_is_told(client: aiohttp.ClientSession) -> None:
    async with client.post("/v1/embeddings", json={"input": ["a", LONG, LONG]}) as response:
        assert response.headers["X-Emberd-Truncated"] == '2;texts="1 2"'
        assert response.headers["X-Emberd-Computed"] == "2"
        assert response.headers["X-Emberd-Hits"] == "1"
    async with client.post("/v1/embeddings", json={"input": "a"}) as response:
        assert "X-Emberd-Truncated" not in response.headers


async def test_headers_choose_the_namespace_and_the_deadline(
    rig: Rig, client: aiohttp.ClientSession
) -> None:
    headers = {"X-Emberd-Namespace": "notes", "X-Emberd-Deadline-Ms": "250"}
    async with client.post("/v1/embeddings", json={"input": "a"}, headers=headers) as response:
        assert response.status == 200
    [(_, params, _)] = rig.service.calls
    assert (params["namespace"], params["deadline_ms"]) == ("notes", 250.0)


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "inf"])
async def test_a_deadline_that_is_none_is_refused(
    client: aiohttp.ClientSession, value: str
) -> None:
    async with client.post(
        "/v1/embeddings", json={"input": "a"}, headers={"X-Emberd-Deadline-Ms": value}
    ) as response:
        assert response.status == 400


async def test_an_overloaded_daemon_says_when_to_come_back(
    rig: Rig, client: aiohttp.ClientSession
) -> None:
    rig.service.fault = OverloadedError("The queue is full.", retry_after_ms=1_200)
    async with client.post("/v1/embeddings", json={"input": "a"}) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "2"
        assert response.headers["retry-after-ms"] == "1200"
        assert response.headers["x-should-retry"] == "true"
        assert (await response.json())["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(
    ("fault", "status", "should_retry"),
    [
        (ShuttingDownError("Shutting down."), 503, "true"),
        (DeadlineExceededError("Too late."), 504, "true"),
        (EmbeddingFailedError("The model failed."), 500, "false"),
        (RuntimeError("a secret of the inside"), 500, "false"),
    ],
)
async def test_a_failure_keeps_its_status_and_its_shape(
    rig: Rig,
    client: aiohttp.ClientSession,
    fault: Exception,
    status: int,
    should_retry: str,
) -> None:
    rig.service.fault = fault
    async with client.post("/v1/embeddings", json={"input": "a"}) as response:
        answer = await response.json()
        assert response.status == status
        assert response.headers["x-should-retry"] == should_retry
    assert answer["error"]["type"] == "server_error"
    assert "secret" not in answer["error"]["message"]


async def test_the_models_on_this_machine_are_listed(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/models") as response:
        answer = await response.json()
    assert answer["object"] == "list"
    [row] = answer["data"]
    assert (row["id"], row["object"], row["owned_by"]) == (MODEL, "model", "emberd")
    assert (row["dimensions"], row["max_tokens"]) == (DIM, 256)


@pytest.mark.parametrize(
    "name", [MODEL, f"sentence-transformers/{MODEL}", f"sentence-transformers%2F{MODEL}"]
)
async def test_one_model_is_found_by_its_name_or_alias(
    client: aiohttp.ClientSession, name: str
) -> None:
    async with client.get(f"/v1/models/{name}") as response:
        assert (await response.json())["id"] == MODEL


async def test_an_unknown_model_is_not_found(client: aiohttp.ClientSession) -> None:
    async with client.get("/v1/models/gpt-9") as response:
        assert response.status == 404
        assert (await response.json())["error"]["code"] == "model_not_found"
