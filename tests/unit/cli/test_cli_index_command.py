"""`emberd index` against a small daemon on a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from cli_server import SmallDaemon

from emberd.cli.context import App
from emberd.cli.index_jobs import JobFiles, RunningJob, all_jobs
from emberd.cli.index_lines import progress_text, summary_lines
from emberd.errors import DaemonAlreadyRunningError
from emberd.ingest import Progress, Summary
from small_collections import SmallCollections


@pytest.fixture
def collections(daemon: SmallDaemon) -> SmallCollections:
    small = SmallCollections()
    for method, handler in small.handlers.items():
        setattr(daemon, f"on_{method.replace('.', '_')}", handler)
    return small


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = (tmp_path / "docs").resolve()
    root.mkdir()
    (root / "guide.md").write_text("# Guide\n\nHow to stop the daemon.\n")
    (root / "faq.txt").write_text("Where is the cache?\n")
    (root / "image.png").write_bytes(b"\x89PNG")
    return root


def index(run_cli: Any, *words: object) -> Any:
    return run_cli("index", *map(str, words), "--collection", "docs")


def test_files_are_indexed_and_found(
    run_cli: Any, collections: SmallCollections, tree: Path
) -> None:
    outcome = index(run_cli, tree)
    assert outcome.code == 0
    first, second, third = outcome.out.splitlines()
    assert first.startswith("2 files in ")
    assert first.endswith(": 2 new")
    assert second.startswith("2 chunks written (")
    assert third == "left out: 1 binary"
    assert f"{tree}/guide.md:1" in run_cli("search", "docs", "stop the daemon").out


def test_a_second_run_says_that_nothing_has_changed(
    run_cli: Any, collections: SmallCollections, tree: Path
) -> None:
    index(run_cli, tree)
    (tree / "faq.txt").unlink()
    outcome = index(run_cli, tree)
    assert outcome.out.splitlines()[0].endswith(": 1 unchanged, 1 removed")


def test_json_is_one_object(run_cli: Any, collections: SmallCollections, tree: Path) -> None:
    found = index(run_cli, tree, "--json").json
    assert found["files"] == {"new": 2, "changed": 0, "unchanged": 0, "removed": 0}
    assert (found["chunks"], found["computed"], found["dry_run"]) == (2, 2, False)
    assert found["skipped"] == {"binary": 1}


def test_a_dry_run_says_what_would_be(
    run_cli: Any, collections: SmallCollections, tree: Path
) -> None:
    outcome = index(run_cli, tree, "--dry-run")
    assert "2 new" in outcome.out
    assert "2 chunks would be written" in outcome.out
    assert collections.documents == {}
    assert run_cli("index", "--status", "--json").json == []


def test_globs_excludes_and_sizes_choose_the_files(
    run_cli: Any, collections: SmallCollections, tree: Path
) -> None:
    outcome = index(
        run_cli, tree, "--glob", "*.md", "--glob", "*.txt", "--exclude", "faq*", "--json"
    )
    assert outcome.json["files"]["new"] == 1
    assert outcome.json["skipped"] == {"excluded": 2}
    assert index(run_cli, tree, "--max-mib", "0.00002", "--json").json["skipped"]["large"] == 1


def test_the_model_and_the_size_of_chunks_are_passed_on(
    run_cli: Any, collections: SmallCollections, tree: Path
) -> None:
    index(run_cli, tree, "--model", "m", "--chunk-tokens", "32")
    assert collections.models["docs"] == "m"
    (row, *_) = collections.documents["docs"].values()
    assert row["metadata"]["cut"] == "1/32/1"


@pytest.mark.usefixtures("collections")
def test_files_that_fail_are_named_and_the_exit_code_tells(run_cli: Any, tree: Path) -> None:
    (tree / "bad.txt").write_bytes(b"caf\x81\xe9")
    outcome = index(run_cli, tree)
    assert outcome.code == 1
    assert "2 new" in outcome.out
    assert f"{tree}/bad.txt: neither UTF-8" in outcome.err
    assert "The rest is in docs." in outcome.err


@pytest.mark.parametrize("words", [[], ["."], ["--collection", "docs"]])
def test_paths_and_a_collection_must_be_named(run_cli: Any, words: list[str]) -> None:
    outcome = run_cli("index", *words)
    assert outcome.code == 2
    assert "emberd index PATH --collection NAME" in outcome.err


def test_a_missing_path_is_named_before_anything_is_started(
    run_cli: Any, home: Path, tmp_path: Path
) -> None:
    outcome = index(run_cli, tmp_path / "nobody")
    assert outcome.code == 1
    assert f"{tmp_path}/nobody: No such file or directory" in outcome.err
    assert not home.exists()


def test_ctrl_c_says_what_is_there_and_the_next_run_goes_on(
    run_cli: Any, collections: SmallCollections, home: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "many"
    tree.mkdir()
    for number in range(400):
        (tree / f"{number:03}.txt").write_text(f"text {number}\n")
    stuck, release = threading.Event(), threading.Event()

    def before(method: str, params: dict[str, Any]) -> None:
        if method == "upsert" and any("/399.txt" in name for name in params["ids"]):
            stuck.set()
            release.wait(60)

    collections.before = before
    words = [sys.executable, "-m", "emberd", "index", str(tree), "-c", "docs"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert stuck.wait(60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "of this run are in docs: the same command goes on from there." in err
    assert "Traceback" not in err
    assert run_cli("index", "--status", "--json").json[0]["state"] == "interrupted"
    before_again = len(collections.documents["docs"])
    assert before_again >= 128
    release.set()
    outcome = index(run_cli, tree, "--json")
    assert outcome.json["files"]["unchanged"] >= 128
    assert len(collections.documents["docs"]) == 400


# -- in the background


def wait_for(pid: int) -> int:
    """The exit code of a detached run; it is this process's child, as it happens."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_detached_run_goes_on_alone_and_its_state_can_be_seen(
    run_cli: Any, collections: SmallCollections, tree: Path
) -> None:
    stuck, release = threading.Event(), threading.Event()

    def before(method: str, params: dict[str, Any]) -> None:
        if method == "upsert":
            stuck.set()
            release.wait(60)

    collections.before = before
    started = index(run_cli, tree, "--detach", "--json").json
    assert stuck.wait(60)
    (job,) = run_cli("index", "--status", "--json").json
    assert (job["state"], job["pid"], job["collection"]) == ("running", started["pid"], "docs")
    assert job["log"] == started["log"]
    assert "running" in run_cli("index", "--status").out
    second = index(run_cli, tree)
    assert second.code == 1
    assert f"fills 'docs' already (pid {started['pid']})" in second.err
    assert index(run_cli, tree, "--detach").code == 1
    release.set()
    assert wait_for(started["pid"]) == 0
    (job,) = run_cli("index", "--status", "--collection", "docs", "--json").json
    assert (job["state"], job["summary"]["chunks"]) == ("done", 2)
    assert run_cli("index", "--status", "--collection", "other", "--json").json == []
    assert Path(started["log"]).stat().st_mode & 0o777 == 0o600
    assert len(collections.documents["docs"]) == 2


def test_a_detached_run_ends_in_order_when_it_is_killed_politely(
    run_cli: Any, collections: SmallCollections, tree: Path
) -> None:
    stuck, release = threading.Event(), threading.Event()

    def before(method: str, params: dict[str, Any]) -> None:
        if method == "upsert":
            stuck.set()
            release.wait(60)

    collections.before = before
    outcome = index(run_cli, tree, "--detach")
    assert "in the background: pid " in outcome.out
    pid = int(outcome.out.split("pid ")[1].split(",")[0])
    assert stuck.wait(60)
    os.kill(pid, signal.SIGTERM)
    assert wait_for(pid) == 130
    release.set()
    (job,) = run_cli("index", "--status", "--json").json
    assert job["state"] == "interrupted"


def test_a_detached_run_that_cannot_begin_says_why(
    run_cli: Any, collections: SmallCollections, tree: Path, home: Path
) -> None:
    (home / "data").mkdir(mode=0o700)
    (home / "data" / "index-jobs").mkdir(mode=0o700)
    (home / "data" / "index-jobs" / "docs.new").mkdir()  # in the way of its state
    outcome = index(run_cli, tree, "--detach")
    assert outcome.code == 1
    assert "The run in the background ended at once: " in outcome.err


def test_detach_and_dry_run_exclude_each_other(run_cli: Any, tree: Path) -> None:
    assert index(run_cli, tree, "--detach", "--dry-run").code == 2


# -- jobs


def test_a_job_whose_process_is_gone_was_killed(home: Path) -> None:
    app = App()
    files = JobFiles.of(app, "docs")
    with RunningJob.started(files, "docs") as job:
        job.note(Progress(phase="indexing", files=3, files_total=9))
        assert all_jobs(app)[0]["state"] == "running"
        (left,) = [json.loads(files.state.read_text())]
    files.state.write_text(json.dumps(left))  # as it is after kill -9
    (job_now,) = all_jobs(app)
    assert (job_now["state"], job_now["files"]) == ("killed", 3)


def test_a_job_that_fails_says_why(home: Path) -> None:
    app = App()
    files = JobFiles.of(app, "docs")
    with pytest.raises(ValueError, match="out of luck"), RunningJob.started(files, "docs"):
        raise ValueError("out of luck")
    assert all_jobs(app)[0]["error"] == "ValueError: out of luck"


def test_one_run_a_collection_at_a_time(home: Path) -> None:
    app = App()
    with (
        RunningJob.started(JobFiles.of(app, "docs"), "docs"),
        RunningJob.started(JobFiles.of(app, "other"), "other"),
        pytest.raises(DaemonAlreadyRunningError, match="--status"),
        RunningJob.started(JobFiles.of(app, "docs"), "docs"),
    ):
        raise AssertionError


def test_collections_of_other_daemons_are_other_jobs(home: Path) -> None:
    here, there = App(), App(socket="tcp://example.org:7000")
    assert JobFiles.of(here, "docs").lock != JobFiles.of(there, "docs").lock
    assert JobFiles.of(here, "../../etc").lock.parent == JobFiles.of(here, "docs").lock.parent


# -- lines


def test_a_progress_line_fits_80_columns() -> None:
    progress = Progress(
        phase="indexing", files=98_765, files_total=123_456, chunks=1_234_567, hits=617_000,
        elapsed_s=1_234.5,
    )  # fmt: skip
    line = progress_text(progress)
    assert line.endswith("98,765/123,456 files  1,234,567 chunks  1,000/s  50% from cache")
    assert len(line) <= 100
    small = Progress(phase="indexing", files=987, files_total=1_234, chunks=5_678, elapsed_s=60)
    assert len(progress_text(small)) <= 79
    assert progress_text(Progress(phase="looking")) == "looking for files ..."
    assert "%" not in progress_text(small, has_bar=False).split("chunks")[0]


def test_a_summary_says_why_nothing_was_removed() -> None:
    summary = Summary(collection="docs", kept=3)
    assert summary_lines(summary)[-1].startswith("No file was found at all, so the 3 files")
