"""The pytest plugin in suites of its own, as its users have them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

HEAVY = ("asyncio", "hnswlib", "lmdb", "msgspec", "numpy", "onnxruntime", "textual", "tokenizers")


def run_pytest(folder: Path, source: str, *arguments: str) -> str:
    (folder / "test_it.py").write_text(textwrap.dedent(source))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, str(folder)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONWARNINGS": ""},
    )
    return done.stdout + done.stderr


def test_pytest_finds_it_by_its_entry_point() -> None:
    (entry,) = (each for each in entry_points(group="pytest11") if each.name == "emberd")
    assert entry.value == "emberd.testing.plugin"


def test_it_costs_suites_that_do_not_use_it_nothing() -> None:
    source = f"""
        import sys
        import emberd.testing.plugin
        print(*({{*{HEAVY!r}}} & {{*sys.modules}}))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_everything_that_it_exports_is_there() -> None:
    import emberd.testing

    for name in emberd.testing.__all__:
        assert getattr(emberd.testing, name).__name__ == name


def test_the_fixtures_give_a_daemon_and_a_client(tmp_path: Path) -> None:
    source = """
        import pytest

        @pytest.fixture
        def emberd_settings():
            return {"cache": {"disk_mib": 0}}

        def test_client(emberd_leak_check, emberd_client):
            assert emberd_client.embed(["text"]).shape == (1, 16)
            assert [tier.name for tier in emberd_client.cache_stats().tiers] == ["memory"]

        def test_factory(emberd_daemon, emberd_leak_check):
            one, other = emberd_daemon(), emberd_daemon(settings={})
            assert one.socket != other.socket
            assert one.client().ping() == other.client().ping() == "pong"
    """
    assert "2 passed" in run_pytest(tmp_path, source)


def test_a_leak_fails_the_test_and_is_named(tmp_path: Path) -> None:
    source = """
        import socket, threading

        kept = []

        def test_leaves_things(emberd_leak_check):
            kept.append(open(__file__))
            kept.append(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True).start()
    """
    told = run_pytest(tmp_path, source)
    assert "1 passed, 1 error" in told
    assert "The test left behind:" in told
    assert "thread 'forgotten'" in told
    assert str(tmp_path / "test_it.py") in told
    assert "socket ('127.0.0.1', " in told


def test_a_failed_promise_of_a_contract_shows_the_values(tmp_path: Path) -> None:
    source = """
        import pytest
        from emberd.testing import CacheTierContract

        class Deaf:
            name = "deaf"
            def get_many(self, namespace, keys): return ["never set"] * len(keys)
            def set_many(self, namespace, items): pass
            def delete_many(self, namespace, keys): return 0
            def clear(self, namespace=None): return 0
            def stats(self): return None
            def close(self): pass

        class TestDeaf(CacheTierContract):
            @pytest.fixture
            def tier(self):
                return Deaf()
    """
    told = run_pytest(tmp_path, source, "-k", "unknown_key")
    assert "['never set'] == [None]" in told
