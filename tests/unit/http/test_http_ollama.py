from __future__ import annotations

from typing import Any

import aiohttp
import numpy as np
import pytest
from http_standin import MODEL, Rig, vector_of

from emberd import __version__

LONG = "one two three four five six seven eight nine ten"


async def post(
    client: aiohttp.ClientSession, body: Any, path: str = "/api/embed"
) -> tuple[int, Any]:
    async with client.post(path, json=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("name", [MODEL, f"{MODEL}:latest"])
async def test_texts_become_embeddings(client: aiohttp.ClientSession, name: str) -> None:
    status, answer = await post(client, {"model": name, "input": ["one", "two"]})
    assert status == 200
    assert list(answer) == ["model", "embeddings", "total_duration", "prompt_eval_count"]
    assert answer["model"] == name
    assert answer["prompt_eval_count"] == 6
    assert answer["total_duration"] > 0
    np.testing.assert_array_equal(
        np.array(answer["embeddings"], dtype=np.float32),
        np.stack([vector_of("one"), vector_of("two")]),
    )


async def test_the_old_path_takes_one_text(client: aiohttp.ClientSession) -> None:
    status, answer = await post(client, {"model": MODEL, "prompt": "one"}, "/api/embeddings")
    assert status == 200
    assert list(answer) == ["embedding"]
    np.testing.assert_array_equal(np.array(answer["embedding"], np.float32), vector_of("one"))


async def test_dimensions_are_passed_on(client: aiohttp.ClientSession) -> None:
    _, answer = await post(client, {"model": MODEL, "input": "one", "dimensions": 64})
    assert len(answer["embeddings"][0]) == 64


@pytest.mark.parametrize("truncate", [True, None])
async def test_a_long_text_is_cut_unless_that_is_turned_off(
    client: aiohttp.ClientSession, truncate: bool | None
) -> None:
    body = {"model": MODEL, "input": LONG}
    assert (await post(client, {**body, "truncate": truncate}))[0] == 200
    assert (await post(client, {**body, "truncate": False}))[0] == 400


@pytest.mark.parametrize(
    ("path", "body", "key"),
    [
        ("/api/embed", {}, "embeddings"),
        ("/api/embed", {"input": ""}, "embeddings"),
        ("/api/embed", {"input": []}, "embeddings"),
        ("/api/embeddings", {"prompt": ""}, "embedding"),
    ],
)
async def test_a_request_without_text_loads_the_model(
    rig: Rig, client: aiohttp.ClientSession, path: str, body: dict[str, Any], key: str
) -> None:
    status, answer = await post(client, {"model": MODEL, **body}, path)
    assert (status, answer[key]) == (200, [])
    assert [(method, params) for method, params, _ in rig.service.calls] == [
        ("models.load", {"name": MODEL})
    ]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"model": "all-minilm-9", "input": "a"}, 404, f"Models here: {MODEL}."),
        ({"input": "a"}, 400, "missing required field `model`"),
        ({"model": MODEL, "input": [1]}, 400, "token ids are not taken"),
        ({"model": MODEL, "input": ["a", LONG], "truncate": False}, 400, "input[1]: over"),
    ],
)
async def test_an_error_is_a_message(
    client: aiohttp.ClientSession, body: Any, status: int, words: str
) -> None:
    found, answer = await post(client, body)
    assert found == status
    assert set(answer) == {"error"}
    assert words in answer["error"]


async def test_what_curl_sends_is_understood(client: aiohttp.ClientSession) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = f'{{"model": "{MODEL}", "input": "one"}}'
    async with client.post("/api/embed", data=body, headers=form) as response:
        assert response.status == 200


async def test_the_models_of_this_machine_have_ollamas_tag(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/tags") as response:
        answer = await response.json()
    [row] = answer["models"]
    assert row["name"] == row["model"] == f"{MODEL}:latest"
    assert row["size"] == 91_000_000
    assert row["details"]["format"] == "onnx"


async def test_the_version_is_emberds(client: aiohttp.ClientSession) -> None:
    async with client.get("/api/version") as response:
        assert await response.json() == {"version": __version__}
