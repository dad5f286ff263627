"""What a collection knows of files, and what follows from it for a run."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from emberd.client import Document
from emberd.ingest.chunks import Recipe, chunk_id
from emberd.ingest.ignore import Selection
from emberd.ingest.known import files_gone, known_files
from emberd.ingest.report import Failure
from emberd.ingest.walk import FoundFile, Source, Walked

RECIPE = Recipe(64)
ROOT = "/home/me/docs"


def document(path: str, index: int, chunks: int, sha256: str = "s", root: str = ROOT) -> Document:
    metadata = {"root": root, "path": path, "sha256": sha256, "cut": RECIPE.cut(chunks)}
    return Document(id=chunk_id(f"{root}/{path}", index), metadata=metadata)


def whole(path: str, chunks: int, sha256: str = "s") -> list[Document]:
    return [document(path, index, chunks, sha256) for index in range(chunks)]


def test_a_whole_file_is_current_for_its_bytes_and_its_recipe_alone() -> None:
    entry = known_files(whole("a.md", 3))[f"{ROOT}/a.md"]
    assert entry.is_current("s", RECIPE)
    assert not entry.is_current("other", RECIPE)
    assert not entry.is_current("s", Recipe(32))


@given(st.sets(st.integers(0, 5)), st.integers(1, 6))
def test_a_file_is_current_only_with_every_chunk(present: set[int], chunks: int) -> None:
    documents = [document("a.md", index, chunks) for index in present]
    entry = known_files(documents).get(f"{ROOT}/a.md")
    is_whole = present == set(range(chunks))
    assert (entry is not None and entry.is_current("s", RECIPE)) == is_whole


def test_chunks_of_two_versions_are_no_current_file() -> None:
    mixed = [document("a.md", 0, 2, "new"), document("a.md", 1, 2, "old")]
    entry = known_files(mixed)[f"{ROOT}/a.md"]
    assert not entry.is_current("new", RECIPE)
    assert not entry.is_current("old", RECIPE)


@given(st.sets(st.integers(0, 20)), st.integers(0, 25))
def test_what_a_shorter_version_has_no_more_is_stale(present: set[int], chunks: int) -> None:
    documents = [document("a.md", index, 99) for index in present]
    entry = known_files(documents).get(f"{ROOT}/a.md")
    stale = [] if entry is None else entry.stale_ids(chunks)
    assert set(stale) == {f"{ROOT}/a.md#{index}" for index in present if index >= chunks}


def test_documents_of_others_are_passed_over() -> None:
    ours = document("a.md", 0, 1)
    metadata = ours.metadata or {}
    others = [
        Document(id="note", metadata={"lang": "en"}),
        Document(id="note", metadata=metadata),
        Document(id=f"{ROOT}/a.md#x", metadata=metadata),
        Document(id=f"{ROOT}/a.md#²", metadata=metadata),
        Document(id=f"{ROOT}/b.md#0", metadata=metadata),
        Document(id=f"{ROOT}/a.md#1", metadata={**metadata, "cut": 7}),
        Document(id=f"{ROOT}/a.md#1", metadata=None),
    ]
    known = known_files([*others, ours])
    assert [(name, entry.indices) for name, entry in known.items()] == [(f"{ROOT}/a.md", {0})]


# -- what is gone


def gone(
    *,
    found: list[str],
    sources: list[Source] | None = None,
    globs: list[str] | None = None,
    failures: list[str] | None = None,
) -> list[str]:
    documents = [document(path, 0, 1) for path in ("a.md", "b.md", "c.txt", "sub/d.md", "sub/e.md")]
    walked = Walked(
        files=[FoundFile(ROOT, path) for path in found],
        failures=[Failure(f"{ROOT}/{path}", "why") for path in failures or []],
    )
    entries = files_gone(
        known_files([*documents, document("a.md", 0, 1, root="/elsewhere")]),
        walked,
        sources or [Source(Path(ROOT))],
        Selection.of(globs or [], []),
    )
    return [entry.file.path for entry in entries]


def test_what_was_not_found_is_gone() -> None:
    assert gone(found=["a.md", "c.txt", "sub/e.md"]) == ["b.md", "sub/d.md"]


def test_files_outside_of_the_paths_that_were_named_stay() -> None:
    assert gone(found=["a.md"], sources=[Source(Path(ROOT, "sub"))]) == ["sub/d.md", "sub/e.md"]
    assert gone(found=[], sources=[Source(Path(ROOT), "b.md")]) == ["b.md"]
    assert gone(found=[], sources=[Source(Path("/home/me/do"))]) == []


def test_files_that_were_not_asked_for_stay() -> None:
    assert gone(found=["a.md"], globs=["*.txt"]) == ["c.txt"]


def test_files_that_could_not_be_looked_at_stay() -> None:
    found = gone(found=["a.md"], failures=["sub/", "b.md"])
    assert found == ["c.txt"]


def test_a_file_is_the_same_through_whichever_folder_it_is_reached() -> None:
    known = known_files([document("sub/d.md", 0, 1)])
    walked = Walked(files=[FoundFile(f"{ROOT}/sub", "d.md")])
    selection = Selection.of([], [])
    assert files_gone(known, walked, [Source(Path(ROOT, "sub"))], selection) == []
