"""Collections from outside: written, searched, indexed from files, with the real model."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemon_process import DaemonProcess, MakeDaemon

from emberd.cli.filters import parse_filter
from emberd.client import AsyncClient, Client, Hit
from emberd.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    EmberdError,
    InvalidParamsError,
)
from emberd.ingest import IndexOptions, Progress, index_files

TEXTS = {
    "stop": "To stop the daemon, type emberd down; it finishes its work first.",
    "cache": "Vectors are kept in memory and on the disk, so that a text is computed once.",
    "dog": "Der Hund schläft auf dem Sofa.",
    "bread": "Mix flour, water, salt and yeast, and let the dough rest for an hour.",
}
METADATA = [
    {"lang": "en", "line": 1, "tags": ["cli"]},
    {"lang": "en", "line": 20, "tags": ["cache", "disk"]},
    {"lang": "de", "line": 3},
    {"lang": "en", "line": 4, "draft": True},
]
FILES = {
    "guide.md": "# Guide\n\n## Starting\n\nThe client starts the daemon by itself.\n\n"
    "## Stopping\n\nType `emberd down` to stop it.\n",
    "bread.txt": "Mix flour, water, salt and yeast.\n",
    "code/planner.py": 'def plan(texts):\n    """Cut texts into batches of one token length."""\n',
    "page.html": "<title>Birds</title><h1>Owls</h1><p>Owls hunt mice at night.</p>",
}


@pytest.fixture
def docs(client: Client) -> Client:
    client.upsert("docs", list(TEXTS), list(TEXTS.values()), metadata=METADATA)
    return client


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = (tmp_path / "tree").resolve()
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def ids(hits: list[Hit]) -> list[str]:
    return [hit.id for hit in hits]


def emberd(daemon: DaemonProcess, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "emberd", *words],
        env=daemon.full_environment(NO_COLOR="1"),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == code, done.stderr
    return done.stdout


# -- documents


def test_a_question_finds_the_document_that_answers_it(docs: Client) -> None:
    hits = docs.search("docs", "how do I shut the service down?", k=2)
    assert hits[0].id == "stop"
    assert hits[0].score > hits[1].score
    assert hits[0].text == TEXTS["stop"]
    assert hits[0].metadata == METADATA[0]
    lists = docs.search("docs", ["a recipe", "an animal that rests"], k=1)
    assert [ids(each) for each in lists] == [["bread"], ["dog"]]


def test_a_search_by_vector_is_a_search_by_its_text(docs: Client) -> None:
    vector = docs.embed("a recipe")
    by_vector, by_text = docs.search("docs", vector), docs.search("docs", "a recipe")
    assert ids(by_vector) == ids(by_text)
    np.testing.assert_allclose(
        [hit.score for hit in by_vector], [hit.score for hit in by_text], atol=1e-5
    )


def test_scores_are_the_cosines_of_the_vectors(docs: Client) -> None:
    hits = docs.search("docs", "sleeping dogs", include=["vector"])
    query = docs.embed("sleeping dogs")
    np.testing.assert_allclose(
        [hit.score for hit in hits], [float(hit.vector @ query) for hit in hits], atol=2e-3
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("lang = de", {"dog"}),
        ("lang != en", {"dog"}),
        ("lang in (de, fr) or draft = true", {"dog", "bread"}),
        ("line >= 3 and line < 20", {"dog", "bread"}),
        ("not (lang = en)", {"dog"}),
        ("draft exists", {"bread"}),
        ("not draft exists", {"stop", "cache", "dog"}),
        ("lang ~ e and lang !~ n", {"dog"}),
        ("tags ~ disk", {"cache"}),
        ("lang not in (en, de)", set()),
    ],
)
def test_filters_of_the_command_line_mean_what_they_say(
    docs: Client, text: str, found: set[str]
) -> None:
    where = parse_filter(text)
    assert set(ids(docs.search("docs", "anything", where=where))) == found
    assert {document.id for document in docs.scan("docs", where=where)} == found


def test_an_upsert_counts_what_is_new_changed_and_the_same(docs: Client) -> None:
    result = docs.upsert(
        "docs",
        ["stop", "dog", "cat"],
        [TEXTS["stop"], "Der Hund bellt.", "Die Katze schläft."],
        metadata=[METADATA[0], METADATA[2], {}],
    )
    assert (result.inserted, result.updated, result.unchanged) == (1, 1, 1)
    assert result.version > 0
    assert docs.get("docs", "dog").text == "Der Hund bellt."  # type: ignore[union-attr]
    assert docs.collections_info("docs").documents == 5


def test_deleted_documents_are_found_no_more(docs: Client) -> None:
    assert docs.delete("docs", ["stop", "nobody"]) == 1
    assert docs.delete("docs", where={"lang": "de"}) == 1
    assert "stop" not in ids(docs.search("docs", "stop the daemon"))
    assert docs.get("docs", ["stop", "cache"])[0] is None


def test_many_documents_go_through_in_one_call_and_one_scan(client: Client) -> None:
    count = 700
    names = [f"n{number}" for number in range(count)]
    vectors = np.random.default_rng(1).standard_normal((count, 384)).astype(np.float32)
    client.collections_create("many")
    numbers = [{"n": number} for number in range(count)]
    result = client.upsert("many", names, vectors=vectors, metadata=numbers)
    assert result.inserted == count
    found = list(client.scan("many", include=["metadata"], page=100))
    assert [document.id for document in found] == names
    assert [document.metadata for document in found] == numbers
    nearest = client.search("many", vectors[:100], k=1)
    assert [hits[0].id for hits in nearest] == names[:100]


def test_errors_are_typed(docs: Client) -> None:
    with pytest.raises(CollectionNotFoundError):
        docs.search("nobody", "x")
    with pytest.raises(CollectionExistsError):
        docs.collections_create("docs")
    with pytest.raises(InvalidParamsError, match="where"):
        docs.search("docs", "x", where={"lang": {"$near": "en"}})
    with pytest.raises(InvalidParamsError, match="1 to 64"):
        docs.collections_create("Not A Name")


def test_collections_outlive_the_daemon_even_when_it_is_killed(daemon: DaemonProcess) -> None:
    with daemon.client() as client:
        client.upsert("docs", list(TEXTS), list(TEXTS.values()), metadata=METADATA)
    daemon.stop(signal.SIGKILL)
    daemon.start()
    with daemon.client() as client:
        assert [document.id for document in client.scan("docs")] == list(TEXTS)
        assert client.search("docs", "a recipe", k=1)[0].id == "bread"
        assert client.collections_check("docs").ok


async def test_the_asyncio_client_does_the_same(daemon: DaemonProcess) -> None:
    async with AsyncClient(daemon.socket, autostart=False) as client:
        await client.upsert("docs", list(TEXTS), list(TEXTS.values()), metadata=METADATA)
        assert (await client.search("docs", "a recipe", k=1))[0].id == "bread"
        assert [document.id async for document in client.scan("docs", page=2)] == list(TEXTS)
        assert await client.delete("docs", "dog") == 1
        assert [info.documents for info in await client.collections_list()] == [3]
        await client.collections_drop("docs")
        assert await client.collections_list() == []


# -- files


def test_files_are_indexed_searched_and_kept_up_to_date(client: Client, tree: Path) -> None:
    summary = index_files(client, "files", [tree])
    assert summary.counts == {"new": 4}
    assert not summary.failures
    (hit,) = client.search("files", "how can I stop it?", k=1)
    assert hit.metadata is not None
    assert (hit.metadata["path"], hit.metadata["lang"]) == ("guide.md", "markdown")
    (hit,) = client.search("files", "what do owls eat?", k=1)
    assert (hit.metadata or {})["heading"] == "Owls"
    assert index_files(client, "files", [tree]).counts == {"unchanged": 4}
    (tree / "bread.txt").unlink()
    (tree / "guide.md").write_text("# Guide\n\nCats sleep all day.\n")
    summary = index_files(client, "files", [tree])
    assert summary.counts == {"unchanged": 2, "changed": 1, "removed": 1}
    (hit,) = client.search("files", "sleeping animals", k=1)
    assert hit.text == "# Guide\n\nCats sleep all day."
    assert {(each.metadata or {})["path"] for each in client.scan("files")} == {
        "guide.md",
        "code/planner.py",
        "page.html",
    }


def test_chunks_fit_the_models_window(client: Client, tmp_path: Path) -> None:
    dense = "\n".join(
        f"0x{number * 7919:08x}, {number % 7}.{number % 11}e-3;" for number in range(900)
    )
    (tmp_path / "dense.txt").write_text(dense)
    (tmp_path / "prose.md").write_text("# A\n\n" + "The cache keeps every vector. " * 400)
    index_files(client, "files", [tmp_path], IndexOptions(chunk_tokens=8_192))
    texts = [document.text or "" for document in client.scan("files")]
    assert len(texts) > 20
    assert max(client.count_tokens(texts)) <= 256
    assert client.embed_detailed(texts).truncated == []
    # Files are written side by side, so the order of the chunks is in their ids.
    kept = {
        document.id: "".join((document.text or "").split()) for document in client.scan("files")
    }
    numbered = {int(name.rpartition("#")[2]): kept[name] for name in kept if "dense.txt#" in name}
    assert "".join(dense.split()) in "".join(numbered[number] for number in sorted(numbered))


def test_a_run_that_a_kill_breaks_goes_on(make_daemon: MakeDaemon, tmp_path: Path) -> None:
    for number in range(400):
        (tmp_path / f"{number:03}.txt").write_text(f"Note {number} is about thing {number % 13}.\n")
    daemon = make_daemon()
    daemon.start()
    half, go_on = threading.Event(), threading.Event()
    seen: list[Progress] = []

    def watch(progress: Progress) -> None:
        seen.append(progress)
        if progress.chunks >= 128 and not half.is_set():
            half.set()
            go_on.wait(60)

    failures: list[EmberdError] = []

    def run() -> None:
        with daemon.client(retries=0) as client:
            try:
                index_files(client, "notes", [tmp_path], on_progress=watch)
            except EmberdError as exc:
                failures.append(exc)

    thread = threading.Thread(target=run)
    thread.start()
    assert half.wait(60)
    acknowledged = seen[-1].chunks
    daemon.stop(signal.SIGKILL)
    go_on.set()
    thread.join(60)
    daemon.start()
    with daemon.client() as client:
        assert client.collections_info("notes").documents >= acknowledged
        summary = index_files(client, "notes", [tmp_path])
        assert summary.counts["unchanged"] >= acknowledged
        assert summary.files == 400
        names = [document.id for document in client.scan("notes", include=[])]
    assert sorted(names) == [f"{tmp_path.resolve()}/{number:03}.txt#0" for number in range(400)]


# -- the command line


def test_index_and_search_from_the_command_line(daemon: DaemonProcess, tree: Path) -> None:
    out = emberd(daemon, "index", str(tree), "--collection", "files")
    assert out.splitlines()[0].endswith(": 4 new")
    out = emberd(daemon, "search", "files", "how can I stop it?", "-k", "1")
    assert out.splitlines()[0].split()[0] == "1"
    assert f"{tree}/guide.md:" in out.splitlines()[0]
    hits: Any = json.loads(
        emberd(daemon, "search", "files", "owls", "--filter", 'path ~ "page"', "--json", "--hybrid")
    )
    assert [hit["metadata"]["path"] for hit in hits] == ["page.html"]
    (row,) = json.loads(emberd(daemon, "collections", "list", "--json"))
    assert (row["name"], row["documents"]) == ("files", 4)
    assert emberd(daemon, "collections", "check", "files").startswith("ok: files, 4 documents")
    emberd(daemon, "collections", "rebuild", "files")
    emberd(daemon, "collections", "drop", "files", "--yes")
    assert json.loads(emberd(daemon, "collections", "list", "--json")) == []


def test_a_detached_run_fills_the_collection(daemon: DaemonProcess, tree: Path) -> None:
    started = json.loads(emberd(daemon, "index", str(tree), "-c", "files", "--detach", "--json"))
    with daemon.client() as client:
        while emberd_status(daemon)["state"] == "running":
            client.stats(fresh=True)  # a second at most: what happens in the daemon meanwhile
        assert client.collections_info("files").documents == 4
    job = emberd_status(daemon)
    assert (job["state"], job["pid"]) == ("done", started["pid"])
    assert job["summary"]["files"]["new"] == 4


def emberd_status(daemon: DaemonProcess) -> dict[str, Any]:
    (job,) = json.loads(emberd(daemon, "index", "--status", "--json"))
    found: dict[str, Any] = job
    return found
