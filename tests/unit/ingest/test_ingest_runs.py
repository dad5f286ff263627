"""Runs over files that change, against collections in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emberd.errors import (
    CollectionModelMismatchError,
    ConnectionLostError,
    InvalidParamsError,
    StorageError,
)
from emberd.ingest import IndexOptions, Progress, Summary, check_request, index_files
from emberd.ingest.in_order import in_order
from small_collections import DirectClient, SmallCollections

MakeTree = Callable[[dict[str, str | bytes]], Path]
LONG = "\n\n".join(f"Paragraph {number} of a long text, with some words." for number in range(40))
FILES: dict[str, str | bytes] = {
    "guide.md": "# Guide\n\nHow to stop the daemon.\n",
    "sub/faq.txt": "Where is the cache?\n",
    "code.py": "def main():\n    return 0\n",
}


def run(client: DirectClient, *paths: Path, **options: Any) -> Summary:
    return index_files(client, "docs", paths, IndexOptions(**options))


def texts(collections: SmallCollections) -> dict[str, str]:
    return {row["id"]: row["text"] for row in collections.documents["docs"].values()}


def test_a_first_run_makes_the_collection_and_writes_every_file(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree(FILES)
    summary = run(client, root)
    assert summary.counts == {"new": 3}
    assert (summary.chunks, summary.computed, summary.model) == (3, 3, "small")
    assert texts(collections) == {
        f"{root}/guide.md#0": "# Guide\n\nHow to stop the daemon.",
        f"{root}/sub/faq.txt#0": "Where is the cache?",
        f"{root}/code.py#0": "def main():\n    return 0",
    }


def test_a_second_run_writes_nothing(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree({**FILES, "long.txt": LONG})
    run(client, root)
    collections.calls.clear()
    summary = run(client, root)
    assert summary.counts == {"unchanged": 4}
    assert (summary.chunks, summary.files) == (0, 4)
    assert collections.asked("upsert") == collections.asked("delete") == []
    assert collections.asked("count_tokens") == []  # nor was anything cut


def test_only_what_has_changed_is_written_and_what_is_gone_is_removed(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree(FILES)
    run(client, root)
    collections.calls.clear()
    (root / "guide.md").write_text("# Guide\n\nHow to start it.\n")
    (root / "code.py").unlink()
    (root / "new.md").write_text("New.\n")
    summary = run(client, root)
    assert summary.counts == {"new": 1, "changed": 1, "unchanged": 1, "removed": 1}
    assert summary.removed_chunks == 1
    written = [name for params in collections.asked("upsert") for name in params["ids"]]
    assert written == [f"{root}/guide.md#0", f"{root}/new.md#0"]
    assert set(texts(collections)) == {
        f"{root}/guide.md#0",
        f"{root}/new.md#0",
        f"{root}/sub/faq.txt#0",
    }


def test_a_file_that_got_shorter_leaves_no_chunks_behind(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree({"a.txt": LONG})
    before = run(client, root).chunks
    assert before > 4
    (root / "a.txt").write_text("Short now.\n")
    summary = run(client, root)
    assert texts(collections) == {f"{root}/a.txt#0": "Short now."}
    assert summary.removed_chunks == before - 1


def test_a_file_without_text_any_more_is_removed(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree({"a.txt": "words\n", "b.txt": "more\n"})
    run(client, root)
    (root / "a.txt").write_bytes(b"\0\1\2")
    summary = run(client, root)
    assert summary.counts == {"removed": 1, "unchanged": 1}
    assert summary.skipped == {"binary": 1}
    assert list(texts(collections)) == [f"{root}/b.txt#0"]


def test_chunks_of_another_size_make_every_file_changed(
    client: DirectClient, make_tree: MakeTree
) -> None:
    root = make_tree({"a.txt": LONG})
    whole = run(client, root)
    again = run(client, root, chunk_tokens=24)
    assert again.counts == {"changed": 1}
    assert again.chunks > whole.chunks


def test_runs_over_different_folders_do_not_touch_each_other(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree({"a/one.md": "one\n", "b/two.md": "two\n", "c.md": "three\n"})
    run(client, root / "a")
    run(client, root / "b")
    client.upsert("docs", ["mine"], ["a document of the person"])
    summary = run(client, root / "a")
    assert summary.counts == {"unchanged": 1}
    assert set(texts(collections)) == {f"{root}/a/one.md#0", f"{root}/b/two.md#0", "mine"}
    run(client, root)
    assert len(texts(collections)) == 4


def test_runs_with_other_globs_do_not_touch_each_other(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree(FILES)
    run(client, root, globs=["*.md"])
    run(client, root, globs=["*.py"])
    assert set(texts(collections)) == {f"{root}/guide.md#0", f"{root}/code.py#0"}


def test_a_file_that_is_ignored_now_is_removed(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree(FILES)
    run(client, root)
    (root / ".emberdignore").write_text("*.py\n")
    assert run(client, root).counts == {"unchanged": 2, "removed": 1}


def test_a_folder_that_is_suddenly_empty_removes_nothing(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree, tmp_path: Path
) -> None:
    root = make_tree(FILES)
    run(client, root)
    root.rename(tmp_path / "unmounted")
    root.mkdir()
    summary = run(client, root)
    assert (summary.kept, summary.counts) == (3, {})
    assert len(texts(collections)) == 3


def test_files_that_fail_are_told_and_the_others_go_on(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree({**FILES, "bad.txt": b"caf\x81\xe9", "poison.md": "poison here\n"})
    summary = run(client, root)
    assert summary.counts == {"new": 3}
    assert {failure.path.removeprefix(f"{root}/"): failure.reason for failure in summary.failures} \
        == {
            "bad.txt": "neither UTF-8 nor windows-1252 (byte 3); convert it to UTF-8",
            "poison.md": "texts[0]: the model failed on it.",
        }  # fmt: skip
    assert len(texts(collections)) == 3


def test_a_known_file_that_fails_keeps_its_chunks(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree({"a.txt": LONG, "b.txt": "b\n"})
    run(client, root)
    before = texts(collections)
    (root / "a.txt").write_text("poison\n")
    summary = run(client, root)
    assert len(summary.failures) == 1
    assert texts(collections) == before


def test_a_run_that_breaks_goes_on_where_it_stopped(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree({f"{number:03}.txt": f"{LONG} {number}" for number in range(40)})
    written = threading.Semaphore(3)

    def break_later(method: str, params: dict[str, Any]) -> None:
        if method == "upsert" and not written.acquire(blocking=False):
            raise ConnectionLostError("The connection to the daemon was lost.")

    collections.before = break_later
    with pytest.raises(ConnectionLostError):
        run(client, root)
    kept = len(texts(collections))
    assert kept
    collections.before = lambda method, params: None
    collections.calls.clear()
    summary = run(client, root)
    assert summary.counts["unchanged"] > 0
    assert summary.files == 40
    total = len(texts(collections))
    assert summary.chunks < total
    assert run(client, root).counts == {"unchanged": 40}
    fresh = SmallCollections()
    run(DirectClient(fresh), root)
    assert texts(fresh) == texts(collections)  # the same as in one go


def test_a_large_file_is_written_in_several_requests(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    large = "\n\n".join(f"{number} {LONG}" for number in range(40))
    root = make_tree({"large.txt": large, "small.md": "s\n"})
    summary = run(client, root)
    assert len(texts(collections)) == summary.chunks > 256
    assert max(len(params["ids"]) for params in collections.asked("upsert")) <= 256
    assert run(client, root).counts == {"unchanged": 2}


def test_a_dry_run_counts_and_changes_nothing(
    client: DirectClient, collections: SmallCollections, make_tree: MakeTree
) -> None:
    root = make_tree(FILES)
    assert run(client, root, dry_run=True).counts == {"new": 3}
    assert collections.documents == {}
    run(client, root)
    (root / "code.py").unlink()
    (root / "guide.md").write_text("Other words.\n")
    summary = run(client, root, dry_run=True)
    assert summary.counts == {"changed": 1, "unchanged": 1, "removed": 1}
    assert (summary.chunks, summary.removed_chunks) == (1, 1)
    assert len(texts(collections)) == 3


def test_a_collection_keeps_its_model(client: DirectClient, make_tree: MakeTree) -> None:
    root = make_tree(FILES)
    assert run(client, root, model="other").model == "other"
    assert run(client, root).model == "other"
    with pytest.raises(CollectionModelMismatchError):
        run(client, root, model="third")


def test_vectors_that_the_cache_had_are_counted(client: DirectClient, make_tree: MakeTree) -> None:
    root = make_tree({"a.md": "words\n"})
    run(client, root)
    client.collections_drop("docs")
    summary = run(client, root)
    assert (summary.hits, summary.computed, summary.hit_ratio) == ({"memory": 1}, 0, 1.0)


def test_progress_grows_to_the_whole(client: DirectClient, make_tree: MakeTree) -> None:
    root = make_tree({f"{number}.md": f"words {number}\n" for number in range(300)})
    told: list[Progress] = []
    index_files(client, "docs", [root], on_progress=told.append)
    assert [progress.phase for progress in (told[0], told[-1])] == ["looking", "indexing"]
    assert [progress.files for progress in told] == sorted(progress.files for progress in told)
    assert (told[-1].files, told[-1].files_total, told[-1].chunks) == (300, 300, 300)
    assert any(0 < progress.files < 300 for progress in told)


def test_wrong_arguments_are_told_before_anything_is_asked(
    client: DirectClient, collections: SmallCollections, tmp_path: Path
) -> None:
    with pytest.raises(StorageError):
        run(client, tmp_path / "nobody")
    with pytest.raises(InvalidParamsError):
        run(client, tmp_path, globs=["!"])
    assert collections.calls == []
    with pytest.raises(StorageError):
        check_request([tmp_path / "nobody"], IndexOptions())


# -- threads


def test_results_come_in_the_order_of_the_items_and_not_all_at_once() -> None:
    begun: list[int] = []
    results = in_order(
        lambda item: begun.append(item) or item * 2, range(100), threads=4, ahead=8, name="t"
    )
    assert next(results) == 0
    assert len(begun) <= 8
    assert list(results) == [item * 2 for item in range(1, 100)]


def test_an_error_ends_the_work_and_reaches_the_caller() -> None:
    def work(item: int) -> int:
        if item == 5:
            raise ValueError("five")
        return item

    taken: list[int] = []
    with pytest.raises(ValueError, match="five"):
        taken.extend(in_order(work, range(1_000_000), threads=2, ahead=4, name="t"))
    assert taken == [0, 1, 2, 3, 4]


def test_a_caller_that_leaves_is_not_kept_waiting() -> None:
    release, begun = threading.Event(), threading.Event()

    def work(item: int) -> int:
        if item:
            begun.set()
            release.wait(30)
        return item

    results = in_order(work, range(10), threads=2, ahead=3, name="t")
    assert next(results) == 0
    assert begun.wait(30)
    results.close()  # returns while the work still waits
    release.set()
