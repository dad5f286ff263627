from __future__ import annotations

import dataclasses
import json
import random
import shutil
from contextlib import suppress

import numpy as np
import pytest
from graph_helpers import DIM, Events, clustered, make_content, numbered
from hypothesis import given
from hypothesis import strategies as st

from emberd.errors import StorageError
from emberd.index.graph import manifest
from emberd.index.graph.checkpoints import Checkpoints
from emberd.index.graph.manifest import Manifest, ManifestError

KINDS = ("json", "graph", "books")
MANIFEST = Manifest(
    dim=3,
    m=16,
    ef_construction=200,
    count=5,
    deleted=1,
    covered=9,
    created=1.5,
    graph_bytes=10,
    graph_hash="a",
    books_bytes=11,
    books_hash="b",
)


def checkpoints(folder, events=None, dim=DIM) -> Checkpoints:
    return Checkpoints(folder, dim, 2, events if events is not None else Events())


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder with two checkpoints: labels 1 to 200, then 201 more and 20 deleted."""
    folder = tmp_path_factory.mktemp("saved")
    keeper, content = checkpoints(folder), make_content(200)
    keeper.write(content)
    content.delete(numbered(1, 20))
    content.add(numbered(301, 100), clustered(100, seed=1))
    keeper.write(content)
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "copy")
    return tmp_path / "copy"


def labels(loaded) -> list[int]:
    slots = loaded.content.slots
    return slots.labels[slots.is_live].tolist()


OLDER, NEWER = list(range(1, 201)), [*range(21, 201), *range(301, 401)]


def test_what_is_loaded_is_what_was_saved(folder):
    events = Events()
    loaded = checkpoints(folder, events).load()
    assert events.names() == ["graph.reading"]
    assert labels(loaded) == NEWER
    assert (loaded.manifest.covered, loaded.manifest.deleted) == (400, 20)
    found, scores = loaded.content.search(clustered(200)[100:110], 1, None, None)
    assert found[:, 0].tolist() == list(range(101, 111))
    assert np.allclose(scores, 1, atol=1e-5)
    assert np.array_equal(loaded.content.shelf.gather(np.arange(200)), clustered(200))


def test_what_is_loaded_can_be_changed_and_saved_again(folder):
    keeper = checkpoints(folder)
    content = keeper.load().content
    content.add(numbered(500, 50), clustered(50, seed=2))
    content.delete(numbered(21, 10))
    assert keeper.write(content) == 3
    assert labels(checkpoints(folder).load()) == [*NEWER[10:], *range(500, 550)]


def test_two_are_kept(folder):
    keeper = checkpoints(folder)
    content = keeper.load().content
    for number in (3, 4, 5):
        assert keeper.write(content) == number
    assert sorted(file.name for file in folder.iterdir()) == sorted(
        f"checkpoint-{number:08d}.{kind}" for number in (4, 5) for kind in KINDS
    )


def test_leftovers_of_an_interrupted_save_are_removed(folder):
    before = {file.name for file in folder.iterdir()}
    for name in (
        "checkpoint-00000003.graph",
        "checkpoint-00000003.books",
        "checkpoint-00000003.json.77.tmp",
        "checkpoint-00000004.graph.78.tmp",
    ):
        (folder / name).write_bytes(b"half")
    (folder / "other").write_bytes(b"not ours")
    assert labels(checkpoints(folder).load()) == NEWER
    assert {file.name for file in folder.iterdir()} == {*before, "other"}


def damage_and_load(folder, kind, damage):
    """The newer checkpoint's file of that kind is damaged; what is loaded, and the events."""
    copy = folder.with_name("damaged")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder, copy)
    file = copy / f"checkpoint-00000002.{kind}"
    damage(file)
    events = Events()
    loaded = checkpoints(copy, events).load()
    return loaded, events, copy


def assert_older(loaded, events, copy, *, files=3):
    assert labels(loaded) == OLDER
    assert events.names() == ["graph.quarantined", "graph.reading"]
    assert events[0][2]["number"] == 2
    assert events[0][2]["reason"]
    assert len(list(copy.glob("checkpoint-00000002.*.corrupt-*"))) == files
    assert labels(checkpoints(copy).load()) == OLDER


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_file_is_set_aside_and_the_older_checkpoint_loaded(folder, kind):
    size = (folder / f"checkpoint-00000002.{kind}").stat().st_size
    for cut in {0, 1, size // 2, size - 2}:
        assert_older(
            *damage_and_load(
                folder, kind, lambda file, cut=cut: file.write_bytes(file.read_bytes()[:cut])
            )
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_is_noticed_wherever_it_is(folder, kind):
    chance = random.Random(1)
    size = (folder / f"checkpoint-00000002.{kind}").stat().st_size
    for at in [0, 8, 16, size - 2, *(chance.randrange(size - 1) for _ in range(25))]:

        def flip(file, at=at):
            data = bytearray(file.read_bytes())
            data[at] ^= 1 << chance.randrange(8)
            file.write_bytes(data)

        loaded, events, copy = damage_and_load(folder, kind, flip)
        if kind == "json" and labels(loaded) == NEWER:
            continue  # blank space: the manifest still says the same
        assert_older(loaded, events, copy)


def test_a_file_that_grew_is_noticed(folder):
    def grow(file):
        file.write_bytes(file.read_bytes() + b"x")

    assert_older(*damage_and_load(folder, "graph", grow))
    assert_older(*damage_and_load(folder, "books", grow))


@pytest.mark.parametrize("kind", ["graph", "books"])
def test_a_missing_file_is_noticed(folder, kind):
    assert_older(*damage_and_load(folder, kind, lambda file: file.unlink()), files=2)


def test_without_a_manifest_there_is_no_checkpoint(folder):
    loaded, events, copy = damage_and_load(folder, "json", lambda file: file.unlink())
    assert labels(loaded) == OLDER
    assert events.names() == ["graph.reading"]
    assert not list(copy.glob("checkpoint-00000002.*"))


def test_when_all_are_damaged_nothing_is_loaded_and_one_is_kept_for_who_looks(folder):
    for number in (1, 2):
        file = folder / f"checkpoint-{number:08d}.graph"
        file.write_bytes(file.read_bytes()[:-1])
    events = Events()
    keeper = checkpoints(folder, events)
    assert keeper.load() is None
    assert events.names() == ["graph.quarantined"] * 2
    assert len(list(folder.iterdir())) == 3
    assert keeper.write(make_content(10)) == 2


def test_a_manifest_that_says_something_else_than_its_files_is_not_believed(folder):
    file = folder / "checkpoint-00000002.json"
    whole = Manifest.decode(file.read_bytes())
    for change in ({"count": 301}, {"covered": 401}, {"deleted": 0}, {"graph_bytes": 5}):
        changed = dataclasses.replace(whole, **change).encode()
        assert_older(
            *damage_and_load(
                folder, "json", lambda file, changed=changed: file.write_bytes(changed)
            )
        )


def test_a_manifest_with_the_other_checkpoints_files_is_not_believed(folder):
    file = folder / "checkpoint-00000002.json"
    file.write_bytes((folder / "checkpoint-00000001.json").read_bytes())
    assert labels(checkpoints(folder).load()) == OLDER


def test_vectors_of_another_size_are_set_aside(folder):
    events = Events()
    assert checkpoints(folder, events, dim=DIM + 1).load() is None
    assert "dimensions" in events[0][1]


def test_a_distrusted_checkpoint_is_not_read(folder):
    events = Events()
    assert labels(checkpoints(folder, events).load({2})) == OLDER
    assert [fields["number"] for _, _, fields in events] == [2, 1]


def test_a_save_that_fails_leaves_nothing_and_says_why(folder):
    keeper = checkpoints(folder)
    before = sorted(folder.iterdir())
    with pytest.raises(StorageError, match="gone"):
        keeper.write(make_content(50), lambda: False)
    assert sorted(folder.iterdir()) == before


def test_clear_leaves_nothing(folder):
    keeper = checkpoints(folder)
    keeper.clear()
    assert list(folder.iterdir()) == []
    assert keeper.load() is None


def test_a_manifest_reads_as_it_was_written():
    assert Manifest.decode(MANIFEST.encode()) == MANIFEST


@given(st.data())
def test_a_changed_manifest_is_refused_or_says_the_same(data):
    text = bytearray(MANIFEST.encode())
    at = data.draw(st.integers(0, len(text) - 1))
    text[at] ^= data.draw(st.integers(1, 255))
    with suppress(ManifestError):
        assert Manifest.decode(bytes(text)) == MANIFEST


@given(
    st.binary(max_size=60)
    | st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode())
)
def test_anything_else_is_no_manifest(data):
    with pytest.raises(ManifestError):
        Manifest.decode(data)


def test_a_later_format_is_refused_by_its_number(monkeypatch):
    monkeypatch.setattr(manifest, "FORMAT", 2)
    later = MANIFEST.encode()
    monkeypatch.undo()
    with pytest.raises(ManifestError, match="format 2"):
        Manifest.decode(later)
