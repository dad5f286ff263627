"""The gateway of a whole daemon, with a tiny real model."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from emberd.client import AsyncClient
from emberd.config import CacheSettings, HttpSettings, LimitSettings, ModelSettings, Settings
from emberd.models import ModelStore, pull
from emberd.paths import Paths
from emberd.server.daemon import Daemon
from emberd.server.ready import ReadyPipe


@dataclass
class Served:
    """Where a daemon answers."""

    address: str
    socket: str


DATA = Path(__file__).resolve().parents[2] / "data" / "tiny-bert"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "red", "green", "blue", "house", "boat"]
TEXTS = ["a red house", "a blue boat", "a red house"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ModelStore:
    """A store with one tiny model, built as any other."""
    root = tmp_path_factory.mktemp("http-models")
    folder = root / "tiny"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(DATA / name, folder / name)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"pooling_mode_mean_tokens": True})
    )
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    found = ModelStore(root / "store")
    pull(str(folder), found, name="tiny")
    return found


@pytest.fixture
async def served(store: ModelStore) -> AsyncIterator[Served]:
    """A whole daemon in this process, with the gateway on."""
    settings = Settings(
        models=ModelSettings(default="tiny", allow_download=False),
        cache=CacheSettings(disk_mib=0, dtype="f32"),
        limits=LimitSettings(text_bytes=10_000),
        http=HttpSettings(port=free_port()),
    )
    with tempfile.TemporaryDirectory(prefix="emberd") as home:
        paths = Paths.from_environment({"EMBERD_HOME": home})
        paths.data.mkdir(mode=0o700)
        paths.models.symlink_to(store.root)
        daemon = Daemon(settings, paths, logging.getLogger("test"))
        await daemon.start()
        serving = asyncio.create_task(daemon.serve(ReadyPipe(None)))
        yield Served(f"http://127.0.0.1:{settings.http.port}", str(paths.socket))
        daemon.request_stop("the test is over")
        await asyncio.wait_for(serving, 30)


@pytest.fixture
async def client(served: Served) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(served.address) as session:
        yield session


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


async def post(client: aiohttp.ClientSession, path: str, body: object) -> tuple[int, object]:
    async with client.post(path, json=body) as response:
        return response.status, await response.json()


async def test_three_dialects_give_one_vector_a_text(
    client: aiohttp.ClientSession,
) -> None:
    _, openai = await post(client, "/v1/embeddings", {"input": TEXTS, "model": "tiny"})
    _, packed = await post(client, "/v1/embeddings", {"input": TEXTS, "encoding_format": "base64"})
    _, tei = await post(client, "/embed", {"inputs": TEXTS})
    _, ollama = await post(client, "/api/embed", {"model": "tiny:latest", "input": TEXTS})
    expected = np.array(tei, dtype=np.float32)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(expected[0], expected[2])
    rows = [base64.b64decode(item["embedding"]) for item in packed["data"]]
    assert b"".join(rows) == expected.tobytes()
    assert openai["usage"]["prompt_tokens"] == 15
    for other in ([item["embedding"] for item in openai["data"]], ollama["embeddings"]):
        np.testing.assert_array_equal(np.array(other, dtype=np.float32), expected)


async def test_a_second_request_is_all_hits_and_the_headers_say_so(
    client: aiohttp.ClientSession,
) -> None:
    seen = []
    for _ in range(2):
        async with client.post("/embed", json={"inputs": TEXTS}) as response:
            seen.append((response.headers["X-Emberd-Hits"], response.headers["X-Emberd-Computed"]))
    assert seen == [("0", "2"), ("3", "0")]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"input": "a", "model": "text-embedding-3-small"}, 404, "Models here: tiny."),
        ({"input": "a", "dimensions": 4096}, 400, "dimensions: tiny has"),
        ({"input": "a", "prompt_name": "query"}, 400, "prompt_name: tiny has no prompt"),
        ({"input": []}, 400, "input: the list is empty"),
        ({"input": ["a"] * 20_000}, 400, "input: 20000 texts are over the limit"),
        ({"input": ["a", "a " * 600], "truncate": "error"}, 400, "input[1]: "),
        ({"input": "x" * 20_000}, 400, "input[0]: the text has 20000 bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_the_services_errors_come_in_the_dialects_words(
    client: aiohttp.ClientSession,
    body: dict[str, object],
    status: int,
    words: str,
) -> None:
    found, answer = await post(client, "/v1/embeddings", body)
    assert found == status
    assert words in answer["error"]["message"]


async def test_an_undeclared_namespace_is_not_found(
    client: aiohttp.ClientSession,
) -> None:
    headers = {"X-Emberd-Namespace": "elsewhere"}
    async with client.post("/embed", json={"inputs": "a"}, headers=headers) as response:
        assert response.status == 404
        assert "[cache.namespaces.elsewhere]" in (await response.json())["error"]


async def test_the_models_are_told_to_every_dialect(
    client: aiohttp.ClientSession,
) -> None:
    found = {}
    for path in ("/v1/models", "/v1/models/tiny", "/api/tags", "/info", "/health"):
        async with client.get(path) as response:
            assert response.status == 200
            found[path] = await response.json()
    assert [row["id"] for row in found["/v1/models"]["data"]] == ["tiny"]
    assert found["/v1/models/tiny"]["dimensions"] > 0
    assert found["/api/tags"]["models"][0]["name"] == "tiny:latest"
    assert found["/api/tags"]["models"][0]["size"] > 0
    assert found["/info"]["model_id"] == "tiny"


async def test_metrics_and_the_dashboards_snapshot_are_one(
    served: Served, client: aiohttp.ClientSession
) -> None:
    await post(client, "/embed", {"inputs": TEXTS})
    lines: list[str] = []
    async with AsyncClient(served.socket, autostart=False) as reader, asyncio.timeout(20):
        snapshot = await reader.stats(fresh=True)
        while f"emberd_snapshot_timestamp_seconds {snapshot.time!r}" not in lines:
            snapshot = await reader.stats(fresh=True)
            async with client.get("/metrics") as response:
                lines = (await response.text()).splitlines()
    assert snapshot.texts.received == 3
    assert [row.texts for row in snapshot.clients if row.transport == "http"] == [3]
    assert "emberd_texts_received_total 3" in lines
    assert f"emberd_texts_computed_total {snapshot.texts.computed}" in lines
    assert 'emberd_requests_total{method="embed"} 1' in lines
    assert 'emberd_clients{transport="http"} 1' in lines
    assert 'emberd_model_texts_total{model="tiny"} 3' in lines
