"""`emberd embed`, `similarity` and `tokens` against a small daemon on a real socket."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_server import DIM, SmallDaemon, vector_of, vectors_of

pytestmark = pytest.mark.usefixtures("daemon")


def rows_of(out: str) -> Any:
    return np.loadtxt(io.StringIO(out), dtype=np.float32, ndmin=2)


def test_a_vector_a_line_in_the_order_of_the_arguments(run_cli: Any) -> None:
    outcome = run_cli("embed", "b", "a", "c")
    assert outcome.code == 0
    assert np.array_equal(rows_of(outcome.out), vectors_of(["b", "a", "c"]))
    assert "3 texts in" in outcome.err
    assert "3 computed" in outcome.err


def test_the_summary_says_what_the_cache_knew(run_cli: Any) -> None:
    run_cli("embed", "a")
    assert "1 from memory, 1 computed" in run_cli("embed", "a", "b").err


def test_quiet_leaves_only_the_vectors(run_cli: Any) -> None:
    outcome = run_cli("embed", "-q", "a")
    assert outcome.err == ""
    assert len(outcome.out.splitlines()) == 1


def test_json_lines_carry_index_and_text(run_cli: Any) -> None:
    rows = run_cli("embed", "--json", "--with-text", "a", "é").json_lines
    assert [(row["index"], row["text"]) for row in rows] == [(0, "a"), (1, "é")]
    assert np.array_equal(np.array(rows[1]["vector"], np.float32), vector_of("é"))


def test_truncated_texts_are_marked(run_cli: Any) -> None:
    rows = run_cli("embed", "--json", "short", "long " * 300).json_lines
    assert "truncated" not in rows[0]
    assert rows[1]["truncated"] is True


def test_options_reach_the_daemon_by_their_wire_names(run_cli: Any, daemon: SmallDaemon) -> None:
    run_cli(
        "embed", "a", "--model", "small", "--prompt", "query", "--dimensions", "4", "--truncate",
        "start", "--dtype", "f16", "--no-cache", "--priority", "bulk",
    )  # fmt: skip
    (params,) = daemon.params_of("embed")
    expected = {
        "model": "small",
        "prompt": "query",
        "dimensions": 4,
        "truncate": "start",
        "dtype": "f16",
        "use_cache": False,
        "priority": "bulk",
    }
    assert expected.items() <= params.items()


def test_an_npy_file_holds_every_row_of_a_long_input(
    run_cli: Any, daemon: SmallDaemon, tmp_path: Path
) -> None:
    texts = [f"line {number}" for number in range(3000)]
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    output = tmp_path / "vectors.npy"
    outcome = run_cli("embed", "--file", str(tmp_path / "texts.txt"), "--output", str(output))
    assert outcome.code == 0
    assert outcome.out == ""
    assert len(daemon.params_of("embed")) > 1  # it streamed
    found = np.load(output)
    assert found.dtype == np.float32
    assert np.array_equal(found, vectors_of(texts))


def test_an_empty_input_writes_no_file(run_cli: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n\n")
    words = ["--file", str(tmp_path / "empty.txt"), "--output", str(tmp_path / "v.npy")]
    outcome = run_cli("embed", *words)
    assert outcome.code == 1
    assert "No texts" in outcome.err
    assert not (tmp_path / "v.npy").exists()


def test_a_missing_file_is_named_before_anything_is_asked(
    run_cli: Any, daemon: SmallDaemon
) -> None:
    outcome = run_cli("embed", "--file", "/no/such/file")
    assert outcome.code == 1
    assert "/no/such/file: No such file" in outcome.err
    assert daemon.calls == []


def test_a_text_that_fails_does_not_take_the_others_along(run_cli: Any) -> None:
    outcome = run_cli("embed", "--json", "a", "poison", "b")
    assert outcome.code == 1
    rows = outcome.json_lines
    assert rows[1]["vector"] is None
    assert rows[1]["error"]["code"] == "EMBEDDING_FAILED"
    assert np.array_equal(np.array(rows[2]["vector"], np.float32), vector_of("b"))
    error = json.loads(outcome.err.splitlines()[-1])["error"]
    assert error["code"] == "EMBEDDING_FAILED"
    assert error["details"]["indices"] == [1]


def test_failed_rows_of_a_file_are_nan_and_the_exit_code_tells(
    run_cli: Any, tmp_path: Path
) -> None:
    output = tmp_path / "v.npy"
    outcome = run_cli("embed", "a", "poison", "--output", str(output))
    assert outcome.code == 1
    assert "1 of 2 texts failed, the first at index 1" in outcome.err
    found = np.load(output)
    assert np.array_equal(found[0], vector_of("a"))
    assert np.isnan(found[1]).all()


def test_output_and_json_exclude_each_other(run_cli: Any) -> None:
    assert run_cli("embed", "a", "--json", "--output", "v.npy").code == 2


def test_ctrl_c_says_what_is_kept_and_leaves_no_half_file(
    daemon: SmallDaemon, tmp_path: Path
) -> None:
    """The first chunk is answered, a later one never: the person gives up."""
    stuck, release = threading.Event(), threading.Event()

    def before(texts: list[str]) -> None:
        if "line 2900" in texts:
            stuck.set()
            release.wait(60)

    daemon.before_embed = before
    (tmp_path / "texts.txt").write_text("\n".join(f"line {number}" for number in range(3000)))
    words = [sys.executable, "-m", "emberd", "embed", "--file", "texts.txt", "--output", "v.npy"]
    with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        assert stuck.wait(60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    release.set()
    assert process.returncode == 130
    assert "Interrupted after" in err
    assert "The cache keeps what was computed" in err
    assert "Traceback" not in err
    assert os.listdir(tmp_path / "home") == ["run"]
    assert not list(tmp_path.glob("*.npy*"))


def test_similarity_prints_one_number_or_a_ranking(run_cli: Any) -> None:
    assert run_cli("similarity", "a", "a").out == "1.0000\n"
    scores = run_cli("similarity", "a", "a", "b", "--json").json["scores"]
    assert scores[0]["score"] == pytest.approx(1.0)
    assert scores[1]["score"] == pytest.approx(float(vector_of("a") @ vector_of("b")), abs=1e-6)
    lines = run_cli("similarity", "a", "a", "b").out.splitlines()
    assert lines[0] == " 1.0000  a"


def test_tokens_are_counted_a_text_a_line(run_cli: Any) -> None:
    outcome = run_cli("tokens", "one", "one two")
    assert outcome.out == "3\n4\n"
    assert "2 texts, 7 tokens" in outcome.err
    assert run_cli("tokens", "one", "--json").json == {"index": 0, "tokens": 3}


def test_dimensions_of_the_small_model_are_what_the_tests_think() -> None:
    assert vector_of("a").shape == (DIM,)
