"""Commands that look into a running daemon, against a small one on a real socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cli_server import SmallDaemon

from emberd.cli.stat_line import HEADER


def test_status_of_a_running_daemon(run_cli: Any, daemon: SmallDaemon) -> None:
    outcome = run_cli("status")
    assert outcome.code == 0
    assert "CPU (2 cores) (CPUExecutionProvider)" in outcome.out
    assert "small, 8 dim, loaded, default" in outcome.out
    found = run_cli("status", "--json").json
    assert found["running"] is True
    assert found["daemon"]["socket"] == str(daemon.path)


def test_status_without_a_daemon_exits_3_and_starts_none(run_cli: Any, home: Path) -> None:
    outcome = run_cli("status")
    assert outcome.code == 3
    assert outcome.out == f"emberd is not running (socket {home}/run/emberd.sock)\n"
    assert run_cli("status", "--json").json["running"] is False
    assert run_cli("status", "-q").out == ""


@pytest.mark.parametrize("words", [["stat"], ["cache", "stats"]], ids=" ".join)
def test_looking_in_starts_no_daemon(run_cli: Any, words: list[str], home: Path) -> None:
    outcome = run_cli(*words)
    assert outcome.code == 1
    assert "error: DAEMON_UNREACHABLE" in outcome.err
    assert not (home / "run" / "emberd.lock").exists()


@pytest.mark.usefixtures("daemon")
def test_stat_once_is_a_header_and_a_line(run_cli: Any) -> None:
    lines = run_cli("stat", "--once").out.splitlines()
    assert lines[0] == HEADER
    assert len(lines) == 2


def test_stat_once_as_json_is_the_whole_snapshot(run_cli: Any, daemon: SmallDaemon) -> None:
    found = run_cli("stat", "--once", "--json").json
    assert found["daemon"]["pid"] == daemon.snapshot().daemon.pid
    assert found["version"] == 1


@pytest.mark.usefixtures("daemon")
def test_cache_stats_are_tables_or_json(run_cli: Any) -> None:
    out = run_cli("cache", "stats").out
    assert "memory" in out
    assert "75%" in out
    assert "7 written, 0 waiting" in out
    assert run_cli("cache", "stats", "--json").json["tiers"][0]["entries"] == 2


@pytest.mark.usefixtures("daemon")
def test_clearing_names_what_and_says_how_much(run_cli: Any) -> None:
    run_cli("embed", "a", "b")
    outcome = run_cli("cache", "clear", "--namespace", "default", "--yes")
    assert outcome.out == "removed 2 records from memory, 0 records from lmdb\n"
    assert run_cli("cache", "clear", "--all", "--yes", "--json").json == {"memory": 0, "lmdb": 0}


def test_clearing_is_never_done_unasked(run_cli: Any, daemon: SmallDaemon) -> None:
    outcome = run_cli("cache", "clear", "--all")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert daemon.params_of("cache.clear") == []


def test_the_socket_can_be_named_before_or_after_the_command(
    run_cli: Any, daemon: SmallDaemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EMBERD_HOME", str(tmp_path / "another"))
    assert run_cli("status").code == 3
    assert run_cli("--socket", str(daemon.path), "status").code == 0
    assert run_cli("status", "--socket", str(daemon.path)).code == 0
    monkeypatch.setenv("EMBERD_SOCKET", str(daemon.path))
    assert run_cli("status").code == 0
    assert run_cli("status", "--socket", str(tmp_path / "nobody.sock")).code == 3


def test_models_of_another_daemon_are_asked_of_it(run_cli: Any, daemon: SmallDaemon) -> None:
    other = daemon.path.with_name("link.sock")
    other.symlink_to(daemon.path)
    rows = run_cli("models", "list", "--json", "--socket", str(other)).json
    assert [(row["name"], row["state"]) for row in rows] == [("small", "loaded")]


@pytest.mark.usefixtures("daemon")
def test_a_model_is_unloaded_and_the_answer_says_whether_it_was_there(run_cli: Any) -> None:
    assert run_cli("models", "unload", "small").out == "unloaded small\n"
    assert run_cli("models", "unload", "other").out == "other was not in memory\n"
    found = run_cli("models", "unload", "small", "--json").json
    assert found == {"name": "small", "unloaded": True}


def test_models_are_listed_without_a_daemon(run_cli: Any) -> None:
    rows = run_cli("models", "list", "--json").json
    default = next(row for row in rows if row["is_default"])
    assert default["name"] == "all-MiniLM-L6-v2"
    assert default["state"] == "available"
    lines = run_cli("models", "list").out.splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("*")] == [
        ["*", "all-MiniLM-L6-v2", "available"]
    ]


@pytest.mark.parametrize("words", [["info"], ["remove", "--yes"]], ids=" ".join)
def test_an_unknown_model_is_an_error_that_helps(run_cli: Any, words: list[str]) -> None:
    outcome = run_cli("models", *words, "all-MiniLM-L6")
    assert outcome.code == 1
    assert "MODEL_NOT_FOUND" in outcome.err
    assert "all-MiniLM-L6-v2" in outcome.err


def test_the_method_table_is_printed_and_is_json(run_cli: Any) -> None:
    assert "embed " in run_cli("api").out
    one = run_cli("api", "embed")
    assert "texts:" in one.out
    assert "Errors: INVALID_PARAMS" in one.out
    names = {row["name"] for row in run_cli("api", "--json").json}
    assert {"hello", "embed", "stats.subscribe"} <= names


def test_an_unknown_method_names_the_nearest(run_cli: Any) -> None:
    outcome = run_cli("api", "embedd")
    assert outcome.code == 1
    assert "Did you mean 'embed'?" in outcome.err


def test_versions_are_lines_or_json(run_cli: Any) -> None:
    found = run_cli("version", "--json").json
    assert {"emberd", "python", "numpy"} <= found.keys()
    assert found["emberd"] in run_cli("version").out


def test_the_dashboard_needs_a_terminal(run_cli: Any) -> None:
    outcome = run_cli("top")
    assert outcome.code == 2
    assert "emberd stat" in outcome.err


def test_the_dashboards_snapshot_can_be_printed_instead(run_cli: Any, daemon: SmallDaemon) -> None:
    found = run_cli("top", "--once", "--json").json
    assert found["daemon"]["pid"] == daemon.snapshot().daemon.pid
    assert run_cli("top", "--once").code == run_cli("top", "--json").code == 2


def test_the_dashboards_keys_are_listed_as_they_are_set(run_cli: Any, home: Path) -> None:
    usual = {row["action"]: row for row in run_cli("top", "--keys", "--json").json}
    assert usual["freeze"]["keys"] == ["Space"]
    assert usual["inspect"]["screens"] == ["cache"]
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text('[dashboard.keys]\nfreeze = ["f11", "ctrl+f"]\ncopy = ""\n')
    chosen = {row["action"]: row for row in run_cli("top", "--keys", "--json").json}
    assert chosen["freeze"]["keys"] == ["F11", "Ctrl+F"]
    assert chosen["copy"]["keys"] == []
    assert "F11 Ctrl+F" in run_cli("top", "--keys").out


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('freez = "f"', "did you mean 'freeze'?"),
        ('freeze = "spce"', "did you mean 'space'?"),
        ('freeze = "s"', "'sort'"),
        ("freeze = 3", "dashboard.keys"),
    ],
)
def test_keys_that_cannot_be_are_told_by_top_and_by_config_check(
    run_cli: Any, home: Path, line: str, words: str
) -> None:
    home.mkdir()
    (home / "config.toml").write_text(f"[dashboard.keys]\n{line}\n")
    for command in (["top", "--keys"], ["config", "check"]):
        outcome = run_cli(*command)
        assert outcome.code == 1
        assert "error: INVALID_CONFIG:" in outcome.err
        assert words in outcome.err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"theme": "light", "ascii": True, "interval_s": 2.5}),
        (
            ["--theme", "dark", "--no-ascii", "--interval", "4"],
            {"theme": "dark", "ascii": False, "interval_s": 4.0},
        ),
    ],
)
def test_options_of_top_outweigh_the_settings(
    run_cli: Any,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    expected: dict[str, object],
) -> None:
    home.mkdir()
    (home / "config.toml").write_text(
        '[dashboard]\ntheme = "light"\nascii = true\ninterval_s = 2.5\nkeys.freeze = "f"\n'
    )
    found: dict[str, object] = {}

    def noted(_socket: str | None, **options: object) -> int:
        found.update(options)
        return 0

    monkeypatch.setattr("emberd_tui.run", noted)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert run_cli("top", *options).code == 0
    chosen = {**expected, "demo": False, "keys": {"freeze": "f"}, "read_only": False}
    assert found == chosen | {"record": None, "replay": None, "at_s": 0.0}


@pytest.mark.parametrize(
    "words", [["--web-port", "0"], ["--web", "--once", "--json"]], ids=" ".join
)
def test_options_of_the_dashboard_that_do_not_go_together(run_cli: Any, words: list[str]) -> None:
    assert run_cli("top", *words).code == 2


def test_an_error_of_the_daemon_keeps_its_code(run_cli: Any, daemon: SmallDaemon) -> None:
    def refuse(_texts: list[str]) -> None:
        from emberd.errors import ModelNotFoundError

        raise ModelNotFoundError("No model 'x'. `emberd models list` shows them.")

    daemon.before_embed = refuse
    outcome = run_cli("embed", "a", "--json")
    assert outcome.code == 1
    assert json.loads(outcome.err)["error"]["code"] == "MODEL_NOT_FOUND"


def test_inspecting_a_text_says_which_tiers_have_it(run_cli: Any, daemon: SmallDaemon) -> None:
    outcome = run_cli("cache", "inspect", "two words")
    assert outcome.code == 1
    assert "cached  no" in outcome.out
    run_cli("embed", "two words")
    outcome = run_cli("cache", "inspect", "two words")
    assert outcome.code == 0
    assert outcome.out.splitlines()[:5] == [
        "model   small (00)",
        f"key     {'ab' * 16}",
        "tokens  2",
        "cached  yes",
        "",
    ]
    memory, lmdb, why = outcome.out.splitlines()[6:]
    assert memory.split() == ["memory", "yes", "-", "36", "B", "1.0000"]
    assert lmdb.split() == ["lmdb", "no", "-", "-", "-"]
    assert why.strip() == "lmdb: slow: 2.00 s"
    run_cli("cache", "inspect", "x", "--prompt", "query", "--namespace", "notes", "--json")
    assert daemon.params_of("cache.inspect")[-1] == {
        "text": "x",
        "prompt": "query",
        "namespace": "notes",
    }
    assert run_cli("cache", "inspect", "x", "--json").json["cached"] is False
    assert "hits    1,204" in run_cli("cache", "inspect", "counted").out


@pytest.mark.usefixtures("daemon")
def test_the_texts_with_the_most_hits_are_a_table(run_cli: Any) -> None:
    outcome = run_cli("cache", "top")
    assert outcome.code == 0
    header, first, second = outcome.out.splitlines()
    assert header.split() == ["HITS", "SHARE", "OVER", "CHARS", "TEXT"]
    assert first.split() == ["1,200", "40%", "-", "1,500", "two", "[31m", "words"]
    assert second.split() == ["300", "10%", "2", "7", "another"]
    assert len(run_cli("cache", "top", "-n", "1", "--json").json["texts"]) == 1


@pytest.mark.usefixtures("daemon")
def test_top_texts_that_are_off_say_how_to_turn_them_on(run_cli: Any) -> None:
    outcome = run_cli("cache", "top", "--namespace", "notes")
    assert (outcome.code, outcome.out, outcome.err) == (1, "", "Set it.\n")
    assert run_cli("cache", "top", "--namespace", "notes", "--json").json["kept"] == 0


@pytest.mark.usefixtures("daemon")
def test_requests_are_a_table_with_where_their_time_went(run_cli: Any) -> None:
    header, failed, slow = run_cli("requests").out.splitlines()
    assert header.split() == ["ID", "TIME", "METHOD", "CLIENT", "TEXTS", "HITS", "MS", "WHERE"]
    assert failed.split()[2:] == ["search", "-", "-", "-", "0.42", "DEADLINE_EXCEEDED"]
    assert slow.split()[0] == "7"
    assert slow.endswith("embed   nvim    1,500    10  1,800  compute 1,000, queue 500, lmdb 250")


def test_requests_are_chosen_by_kind_client_method_and_fate(
    run_cli: Any, daemon: SmallDaemon
) -> None:
    words = ["--slowest", "--client", "nvim", "--method", "embed", "--failed", "-n", "5"]
    found = run_cli("requests", *words, "--json").json
    assert [row["id"] for row in found["requests"]] == [8]
    assert daemon.params_of("requests.list") == [
        {"kind": "slowest", "client": "nvim", "method": "embed", "failed": True, "limit": 5}
    ]


@pytest.mark.usefixtures("daemon")
def test_slow_requests_without_a_limit_for_them_are_explained(run_cli: Any) -> None:
    assert "log.slow_ms is 0" in run_cli("requests", "--slow").err
