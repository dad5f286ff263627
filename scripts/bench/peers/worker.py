"""One peer at work, in a process and an environment of its own.

It imports nothing of emberd. A line of JSON on standard input names a file with texts and how often
to embed them; the answer is a line with the seconds that one time took, tokenising included, and
the file that the vectors were written to, (n, dim) float32. The programs are used as their
documentation shows, with their defaults.

  PYTHON worker.py NAME FOLDER

FOLDER holds the model, or is what a cache may use. Caches compute nothing: a text that they do not
have gets a vector made up from its hash.
"""
# ruff: noqa: PLC0415 - each function imports what its own environment has

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Embed = Callable[[list[str]], Any]

_SIZES = (32, 128, 512, 1_024)  # texts a batch on a GPU
_MANY = 1_000


def sentence_transformers(folder: Path) -> Embed:
    """PyTorch, float32: batches of 32, sorted by length."""
    return _sentence_transformers(folder, "float32")


def sentence_transformers_bf16(folder: Path) -> Embed:
    """The same in bfloat16."""
    return _sentence_transformers(folder, "bfloat16")


def sentence_transformers_cuda_fp16(folder: Path) -> Embed:
    """On a CUDA device in float16, sorted by length, in batches of the size that is fastest on the
    first large list of texts."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cuda", model_kwargs={"dtype": "float16"})
    chosen: list[int] = []

    def encode(texts: list[str], size: int) -> Any:
        return model.encode(
            texts, batch_size=size, normalize_embeddings=True, show_progress_bar=False
        )

    def seconds(texts: list[str], size: int) -> float:
        encode(texts, size)
        started = time.perf_counter()
        encode(texts, size)
        return time.perf_counter() - started

    def embed(texts: list[str]) -> Any:
        if not chosen and len(texts) >= _MANY:
            chosen.append(min(_SIZES, key=lambda size: seconds(texts, size)))
        return encode(texts, chosen[0] if chosen else _SIZES[0])

    return embed


def _sentence_transformers(folder: Path, dtype: str) -> Embed:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"dtype": dtype})
    return lambda texts: model.encode(texts, normalize_embeddings=True, show_progress_bar=False)


def infinity(folder: Path) -> Embed:
    """Its engine in this process, without its server: PyTorch, batches of 32, sorted by length."""
    from infinity_emb import AsyncEmbeddingEngine, EngineArgs

    arguments = EngineArgs(
        model_name_or_path=str(folder),
        engine="torch",
        device="cpu",
        model_warmup=False,
        bettertransformer=False,
    )
    engine = AsyncEmbeddingEngine.from_args(arguments)
    runner = asyncio.Runner()
    runner.run(engine.astart())

    def embed(texts: list[str]) -> Any:
        vectors, _ = runner.run(engine.embed(sentences=texts))
        return vectors

    return embed


def fastembed(folder: Path) -> Embed:
    """ONNX Runtime on the plain graph: batches of 256 in order of arrival."""
    from fastembed import TextEmbedding
    from fastembed.common.model_description import ModelSource, PoolingType

    TextEmbedding.add_custom_model(
        model="bench/local",
        pooling=PoolingType.MEAN,
        normalization=True,
        sources=ModelSource(hf="bench/local"),
        dim=json.loads((folder / "config.json").read_text())["hidden_size"],
        model_file="model.onnx",
    )
    model = TextEmbedding("bench/local", specific_model_path=str(folder))
    return lambda texts: list(model.embed(texts))


def langchain(folder: Path) -> Embed:
    """CacheBackedEmbeddings over its store of files."""
    from langchain_classic.embeddings import CacheBackedEmbeddings
    from langchain_classic.storage import LocalFileStore
    from langchain_core.embeddings import Embeddings

    class MadeUp(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return [_made_up(text) for text in texts]

        def embed_query(self, text: str) -> list[float]:
            return _made_up(text)

    cached = CacheBackedEmbeddings.from_bytes_store(
        MadeUp(), LocalFileStore(folder), namespace="bench", key_encoder="sha256"
    )
    return cached.embed_documents


def diskcache(folder: Path) -> Embed:
    """Its `Cache` with bytes of float16 as values."""
    import numpy as np
    from diskcache import Cache

    cache = Cache(str(folder))

    def vector_of(text: str) -> Any:
        key = hashlib.sha256(text.encode()).digest()
        found = cache.get(key)
        if found is None:
            found = np.array(_made_up(text), np.float16).tobytes()
            cache.set(key, found)
        return np.frombuffer(found, np.float16).astype(np.float32)

    return lambda texts: np.stack([vector_of(text) for text in texts])


def http_json(_folder: Path) -> Embed:
    """A server of aiohttp with a dictionary for a cache; JSON over one kept connection."""
    import http.client

    import numpy as np
    from aiohttp import web

    cache: dict[str, list[float]] = {}
    address: list[tuple[str, int]] = []
    is_ready = threading.Event()

    async def answer(request: web.Request) -> web.Response:
        texts = (await request.json())["input"]
        found = [cache.get(text) or cache.setdefault(text, _made_up(text)) for text in texts]
        return web.json_response({"data": [{"embedding": vector} for vector in found]})

    async def serve() -> None:
        application = web.Application(client_max_size=1 << 30)
        application.router.add_post("/v1/embeddings", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        address.append(runner.addresses[0])
        is_ready.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    is_ready.wait()
    connection = http.client.HTTPConnection("127.0.0.1", address[0][1])

    def embed(texts: list[str]) -> Any:
        body = json.dumps({"input": texts})
        connection.request("POST", "/v1/embeddings", body, {"Content-Type": "application/json"})
        data = json.loads(connection.getresponse().read())["data"]
        return np.array([each["embedding"] for each in data], np.float32)

    return embed


def _made_up(text: str) -> list[float]:
    dice = random.Random(text)  # noqa: S311 - nothing secret
    return [dice.gauss(0, 0.05) for _ in range(384)]


PEERS = {
    "sentence-transformers": sentence_transformers,
    "sentence-transformers-bf16": sentence_transformers_bf16,
    "sentence-transformers-cuda-fp16": sentence_transformers_cuda_fp16,
    "infinity": infinity,
    "fastembed": fastembed,
    "langchain": langchain,
    "diskcache": diskcache,
    "http-json": http_json,
}


def main(name: str, folder: str) -> None:
    """Answer until standard input ends."""
    import numpy as np

    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # a library's own words are no answer
        embed = PEERS[name](Path(folder))
        print(json.dumps({"ready": name}), file=answers, flush=True)
        for line in sys.stdin:
            order = json.loads(line)
            texts = json.loads(Path(order["texts"]).read_text("utf-8"))
            started = time.perf_counter()
            for _ in range(order["repeats"]):
                vectors = embed(texts)
            seconds = (time.perf_counter() - started) / order["repeats"]
            file = f"{order['texts']}.npy"
            np.save(file, np.asarray(vectors, np.float32))
            print(json.dumps({"seconds": seconds, "vectors": file}), file=answers, flush=True)
    os._exit(0)  # some have threads that never end


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
