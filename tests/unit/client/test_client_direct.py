"""Direct reads: the same bytes as through the socket, or the socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from direct_daemon import DirectDaemon

from emberd.client import AsyncClient, Client
from emberd.client import direct as client_direct
from emberd.errors import InvalidParamsError, NamespaceNotFoundError, TextTooLongError
from emberd.records import tables
from emberd.testing import InProcessDaemon
from emberd.wire.snapshot import Snapshot, TierStats

TEXTS = [f"text number {number}" for number in range(40)]
LONG = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def daemons() -> Iterator[dict[str, DirectDaemon]]:
    """By the numbers that they keep; each starts with its first test."""
    made: dict[str, DirectDaemon] = {}
    yield made
    for daemon in made.values():
        daemon.stop()
        shutil.rmtree(daemon.home)


@pytest.fixture
def daemon_of(daemons: dict[str, DirectDaemon]) -> Callable[[str], DirectDaemon]:
    def find(dtype: str) -> DirectDaemon:
        daemon = daemons.get(dtype)
        if daemon is None:
            settings = {"dtype": dtype, "namespaces": {"other": {}}, "disk_mib": 1}
            home = Path(tempfile.mkdtemp(prefix="ed"))
            daemon = daemons[dtype] = DirectDaemon(home, {"cache": settings})
            daemon.start()
        return daemon

    return find


@pytest.fixture
def daemon(daemon_of: Callable[[str], DirectDaemon]) -> DirectDaemon:
    """A daemon that has TEXTS in its file."""
    daemon = daemon_of("f16")
    daemon.fill(TEXTS)
    return daemon


@pytest.fixture
def direct(daemon: DirectDaemon) -> Iterator[Client]:
    with daemon.client(direct=True) as client:
        yield client


def state_of(client: Any) -> str:
    return str(getattr(client, "client", client).direct_state)


def lmdb_of(snapshot: Snapshot) -> TierStats:
    return next(tier for tier in snapshot.cache.tiers if tier.name == "lmdb")


@pytest.mark.parametrize("dtype", ["f16", "f32"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prompt": "query"},
        {"prefix": "words of my own: "},
        {"truncate": "start"},
        {"truncate": "end"},
        {"namespace": "other"},
        {"dimensions": 5},
        {"dtype": "f16"},
        {"dtype": "i8"},
        {"dtype": "bit"},
    ],
    ids=str,
)
def test_a_direct_hit_has_the_bytes_of_the_sockets_answer(
    daemon_of: Callable[[str], DirectDaemon],
    make_client: Callable[..., Any],
    dtype: str,
    options: dict[str, Any],
) -> None:
    daemon = daemon_of(dtype)
    kept = {name: value for name, value in options.items() if name != "dtype"}
    texts = [*TEXTS, LONG]
    daemon.fill(texts, **kept)
    with daemon.client() as plain:
        expected = plain.embed_detailed(texts, **options)
    client = make_client(daemon.socket, autostart=False, direct=True)
    found = client.embed_detailed(texts, **options)
    assert state_of(client) == "ready"
    assert found.vectors.tobytes() == expected.vectors.tobytes()
    assert (found.tokens, found.truncated) == (expected.tokens, expected.truncated)
    assert (found.model, found.fingerprint) == (expected.model, expected.fingerprint)
    is_exact = options.get("dtype", "f32") in {"f32", dtype}
    assert ("direct" in found.hits) is is_exact
    assert client.embed(texts[0], **options).tobytes() == expected.vectors[0].tobytes()


def test_only_the_texts_that_are_not_in_the_file_are_sent(
    daemon: DirectDaemon, make_client: Callable[..., Any]
) -> None:
    texts = ["new a", TEXTS[3], TEXTS[3], "new b", TEXTS[0], "new a"]
    with daemon.client() as plain:
        plain.cache_clear("default")
    daemon.fill(TEXTS)
    client = make_client(daemon.socket, autostart=False, direct=True)
    seen: list[tuple[int, int]] = []
    found = client.embed_detailed(texts, on_progress=lambda *done: seen.append(done))
    assert (found.hits, found.computed, found.deduplicated) == ({"direct": 3}, 2, 1)
    assert seen == [(6, 6)]
    with daemon.client() as plain:
        assert found.vectors.tobytes() == plain.embed(texts).tobytes()


def test_a_call_of_many_texts_is_read_off_the_event_loop_and_in_order(
    daemon: DirectDaemon, make_client: Callable[..., Any]
) -> None:
    texts = TEXTS * 40
    client = make_client(daemon.socket, autostart=False, direct=True)
    found = client.embed_detailed(texts)
    assert found.hits == {"direct": 1_600}
    with daemon.client() as plain:
        assert found.vectors.tobytes() == plain.embed(texts).tobytes()


def test_a_text_that_fails_is_named_by_its_place_in_the_call(direct: Client) -> None:
    direct.embed(TEXTS, truncate="error")
    texts = [TEXTS[0], TEXTS[1], LONG]
    with pytest.raises(TextTooLongError, match=r"texts\[2\]") as caught:
        direct.embed(texts, truncate="error")
    assert caught.value.details["index"] == 2
    found = direct.embed_detailed(texts, truncate="error", partial=True)
    assert list(found.failures) == [2]
    assert found.errors[0]["details"]["field"] == "texts[2]"
    assert not found.vectors[2].any()
    assert found.vectors[:2].any(axis=1).all()


def test_bad_calls_are_refused_as_ever(direct: Client) -> None:
    assert direct.embed_detailed(TEXTS).hits == {"direct": 40}
    with pytest.raises(InvalidParamsError):
        direct.embed([])
    with pytest.raises(InvalidParamsError):
        direct.embed(["fine", 3])  # type: ignore[list-item]
    with pytest.raises(InvalidParamsError):
        direct.embed(TEXTS, prompt="query", prefix="both")
    with pytest.raises(InvalidParamsError):
        direct.embed(TEXTS, dimensions=17)
    with pytest.raises(InvalidParamsError):
        direct.embed(TEXTS, prefix=["a list"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="promt"):
        direct.embed(TEXTS, promt="query")  # type: ignore[call-arg]
    with pytest.raises(NamespaceNotFoundError):
        direct.embed(TEXTS, namespace="nobody's")


def test_without_the_cache_the_file_is_not_read(direct: Client) -> None:
    found = direct.embed_detailed(TEXTS, use_cache=False)
    assert (found.hits, found.computed) == ({}, len(TEXTS))


@pytest.mark.parametrize("namespace", ["other", None])
def test_what_was_cleared_is_not_found(daemon: DirectDaemon, namespace: str | None) -> None:
    daemon.fill(TEXTS, namespace="other")
    with daemon.client(direct=True) as client:
        for each in ("default", "other"):
            assert client.embed_detailed(TEXTS, namespace=each).hits == {"direct": 40}
        client.cache_clear(namespace)
        assert client.embed_detailed(TEXTS, namespace="other").computed == 40
        is_kept = namespace == "other"
        assert client.embed_detailed(TEXTS).computed == (0 if is_kept else 40)
        daemon.fill(TEXTS, namespace="other")
        assert client.embed_detailed(TEXTS, namespace="other").hits == {"direct": 40}


def test_a_killed_and_restarted_daemons_file_is_read_again(daemon: DirectDaemon) -> None:
    with daemon.client(direct=True) as client:
        expected = client.embed(TEXTS)
        daemon.stop(kill=True)
        daemon.start()
        daemon.fill(["loads the model"])
        found = client.embed_detailed(TEXTS)
        assert found.vectors.tobytes() == expected.tobytes()
        assert (found.hits, found.computed) == ({"direct": 40}, 0)


def test_a_new_file_in_the_place_of_the_old_one_is_seen(daemon: DirectDaemon) -> None:
    with daemon.client(direct=True) as client:
        client.embed(TEXTS)
        daemon.stop()
        shutil.rmtree(daemon.environment)
        daemon.start()
        daemon.fill(["another"])
        found = client.embed_detailed([*TEXTS, "another"])
        assert (found.hits, found.computed) == ({"direct": 1}, len(TEXTS))


def test_two_clients_of_a_process_share_the_file(daemon: DirectDaemon) -> None:
    with daemon.client(direct=True) as first:
        with daemon.client(direct=True) as second:
            assert first.embed_detailed(TEXTS).hits == second.embed_detailed(TEXTS).hits
            assert second.embed_detailed(TEXTS).hits == {"direct": 40}
        assert first.embed_detailed([*TEXTS[:3]]).hits == {"direct": 3}
        assert state_of(first) == "ready"


FORKING = """
import os, sys
from emberd.client import Client
texts = [f"text number {number}" for number in range(40)]
client = Client(sys.argv[1], autostart=False, direct=True)
expected = client.embed(texts).tobytes()
assert client.direct_state == "ready"
child = os.fork()
if not child:
    is_same = client.embed(texts).tobytes() == expected
    client.close()
    os._exit(0 if is_same and "forked" in client.direct_state else 1)
assert os.waitpid(child, 0)[1] == 0
assert client.embed_detailed(texts[:5]).hits == {"direct": 5}
"""


def test_a_forked_child_leaves_the_file_to_its_parent(daemon: DirectDaemon) -> None:
    subprocess.run([sys.executable, "-c", FORKING, daemon.socket], check=True, timeout=60)


def test_the_daemon_counts_direct_hits(daemon: DirectDaemon) -> None:
    with daemon.client() as plain:
        before = plain.stats(fresh=True)
        with daemon.client(direct=True) as client:
            client.embed(TEXTS)
            client.embed(TEXTS[:2])
        after = plain.stats(fresh=True)
    tier, now = lmdb_of(before), lmdb_of(after)
    assert after.texts.hits - before.texts.hits == 42
    assert after.texts.received - before.texts.received == 42
    assert (now.hits - tier.hits, now.direct - tier.direct) == (42, 42)
    (default,) = (each for each in after.cache.namespaces if each.name == "default")
    (was,) = (each for each in before.cache.namespaces if each.name == "default")
    assert default.hits - was.hits == 42


def test_counts_that_cannot_be_are_refused_as_a_whole(daemon: DirectDaemon) -> None:
    impossible: list[dict[str, Any]] = [
        {"namespace": "default", "texts": -1},
        {"namespace": "default", "texts": 1 << 40},
        {"namespace": "default", "texts": 1, "rows": [-5]},
        {"namespace": "default", "texts": 1, "rows": [1] * 5_000},
        {"namespace": "nobody's", "texts": 1},
        {"texts": 1},
    ]
    with daemon.client() as client:
        before = client.stats(fresh=True).texts.hits
        for bad in impossible:
            with pytest.raises((InvalidParamsError, NamespaceNotFoundError)):
                client.call("cache.direct", hits=[{"namespace": "default", "texts": 7}, bad])
        assert client.stats(fresh=True).texts.hits == before


@pytest.mark.parametrize(
    ("cache", "reason"),
    [
        ({"direct_reads": False}, "cache.direct_reads"),
        ({"sliding_ttl": True, "ttl_s": 60.0}, "cache.sliding_ttl"),
        ({"disk_mib": 0}, "no persistent tier"),
    ],
    ids=str,
)
def test_it_steps_aside_where_the_settings_say_so(cache: dict[str, Any], reason: str) -> None:
    with InProcessDaemon(settings={"cache": cache}) as daemon:
        expected = daemon.client().embed(TEXTS)
        client = daemon.client(direct=True)
        assert client.embed(TEXTS).tobytes() == expected.tobytes()
        assert reason in client.direct_state
        assert "direct" not in client.embed_detailed(TEXTS).hits


def test_it_steps_aside_for_another_users_daemon(
    daemon: DirectDaemon, direct: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = os.getuid()
    direct.ping()
    monkeypatch.setattr(os, "getuid", lambda: own + 1)
    assert "direct" not in direct.embed_detailed(TEXTS).hits
    assert "another user" in direct.direct_state


def test_it_steps_aside_for_a_file_that_others_may_open(
    daemon: DirectDaemon, direct: Client
) -> None:
    data = daemon.environment / "data.mdb"
    data.chmod(0o644)
    try:
        assert "direct" not in direct.embed_detailed(TEXTS).hits
    finally:
        data.chmod(0o600)
    assert "other users" in direct.direct_state


def test_it_steps_aside_for_a_link(daemon: DirectDaemon, direct: Client) -> None:
    data = daemon.environment / "data.mdb"
    data.rename(daemon.environment / "elsewhere.mdb")
    data.symlink_to("elsewhere.mdb")
    try:
        assert "direct" not in direct.embed_detailed(TEXTS).hits
    finally:
        data.unlink()
        (daemon.environment / "elsewhere.mdb").rename(data)
    assert "not this user's" in direct.direct_state


def test_it_steps_aside_for_another_format(
    daemon: DirectDaemon, direct: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from emberd.client import direct_file

    monkeypatch.setattr(direct_file, "FORMAT", tables.FORMAT + 1)
    assert "direct" not in direct.embed_detailed(TEXTS).hits
    assert "format" in direct.direct_state


def test_it_steps_aside_where_the_daemon_is_in_this_process() -> None:
    with InProcessDaemon() as daemon:
        with daemon.client() as plain:
            expected = plain.embed(TEXTS)
        daemon.flush()
        client = daemon.client(direct=True)
        found = client.embed_detailed(TEXTS)
        assert found.vectors.tobytes() == expected.tobytes()
        assert "direct" not in found.hits
        assert "already open in this process" in client.direct_state


def test_it_is_off_unless_asked_for_and_over_tcp(daemon: DirectDaemon) -> None:
    with daemon.client() as client:
        assert "direct" not in client.embed_detailed(TEXTS).hits
        assert client.direct_state == "off"
    assert "TCP" in Client("tcp://127.0.0.1:1", autostart=False, direct=True).direct_state
    assert AsyncClient("tcp://127.0.0.1:1", autostart=False).direct_state == "off"


def test_readers_see_right_bytes_while_the_file_is_written_cleared_and_replaced(
    daemon: DirectDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_direct, "_VALID_S", 0.05)
    with daemon.client() as client:
        rows = client.embed(TEXTS)
    expected = {text: row.tobytes() for text, row in zip(TEXTS, rows, strict=True)}
    wrong: list[object] = []
    hits = {"direct": 0}
    is_over = threading.Event()

    def read() -> None:
        with daemon.client(direct=True, retries=10) as client:
            while not is_over.is_set():
                try:
                    found = client.embed_detailed(TEXTS)
                except Exception as exc:  # the daemon is being started again
                    if "mdb" in str(exc).lower():
                        wrong.append(exc)
                    continue
                hits["direct"] += found.hits.get("direct", 0)
                wrong.extend(
                    text
                    for text, vector in zip(TEXTS, found.vectors, strict=True)
                    if vector.tobytes() != expected[text]
                )

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for turn in range(4):
            with daemon.client() as writer:
                for part in range(3):
                    writer.embed([f"turn {turn} part {part} text {n}" for n in range(512)])
                writer.cache_clear(None if turn % 2 else "other")
            daemon.fill(TEXTS)
            if turn == 1:
                daemon.stop(kill=True)
                daemon.start()
    finally:
        is_over.set()
        for reader in readers:
            reader.join(60)
    assert not wrong
    assert hits["direct"] > 0
    with daemon.client() as client:
        tier = lmdb_of(client.stats(fresh=True))
        assert (tier.state, tier.corrupt, tier.message) == ("ok", 0, "")
