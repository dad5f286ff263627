"""Truncated files, flipped bits, missing files: the collection opens, says what it did, and what it
then answers is right: a document is as it was written, or it is reported missing."""

from __future__ import annotations

import random
import shutil
import sqlite3

import numpy as np
import pytest
from index_helpers import Told, collection, many, opened

from emberd.index.store.mending import DAMAGED_FILE

COUNT = 150
IDS = [f"doc-{number:03}" for number in range(COUNT)]
VECTORS = many(COUNT, seed=77)
TEXTS = [
    f"text number {number} about {'apples' if number % 3 else 'plums'} " * 5
    for number in range(COUNT)
]
METADATA = [
    {"n": number, "lang": "en" if number % 2 else "de", "t": ["x", number]}
    for number in range(COUNT)
]
GONE = {*range(10, 20), 149}
ALL = ("text", "metadata", "vector")


async def write(c):
    """Three writes, so that the log has something that the database has not."""
    await c.upsert("docs", IDS[:100], -VECTORS[:100], ["old"] * 100, [{"old": True}] * 100)
    await c.upsert("docs", IDS, VECTORS, TEXTS, METADATA)
    await c.delete("docs", [IDS[number] for number in sorted(GONE)])


@pytest.fixture
async def closed(folder):
    """Files as an orderly stop leaves them."""
    async with collection(folder / "whole") as c:
        await write(c)
    return folder / "whole"


@pytest.fixture
async def killed(folder):
    """Files as kill -9 leaves them: the log is there."""
    async with collection(folder / "open") as c:
        await write(c)
        shutil.copytree(folder / "open", folder / "killed")
    assert (folder / "killed" / "docs" / "documents.sqlite-wal").stat().st_size > 0
    return folder / "killed"


class Seen:
    """What a damaged collection says of itself."""

    def __init__(self) -> None:
        self.told = Told([])
        self.wrong: list[str] = []
        self.missing: list[int] = []
        self.without_vector: list[int] = []


async def look(folder) -> Seen:
    """Open, read everything in every way, write, check."""
    seen = Seen()
    async with opened(folder, told=seen.told) as c:
        if c.names() != ["docs"]:
            return seen
        kept = await read(c, seen)
        vectors = [number for number in kept if number not in seen.without_vector]
        await search(c, seen, kept, vectors)
        await c.upsert("docs", IDS, VECTORS, TEXTS, METADATA)
        report = await c.check("docs")
        assert report.documents == report.vectors == COUNT
        assert (await c.check("docs")).is_sound
        again = Seen()
        assert await read(c, again) == list(range(COUNT))
        await search(c, again, list(range(COUNT)), list(range(COUNT)))
        assert not again.wrong
    async with opened(folder, told=(told := Told([]))) as c:
        assert len((await c.scan("docs", limit=COUNT + 1))[0]) == COUNT
        assert told.notes == []
    return seen


async def read(c, seen) -> list[int]:
    """Every document is as it was written or not there."""
    kept = []
    for number, document in enumerate(await c.get("docs", IDS, ALL)):
        if document is None:
            seen.missing += [number] if number not in GONE else []
            continue
        kept.append(number)
        if (document.text, document.metadata) != (TEXTS[number], METADATA[number]):
            seen.wrong.append(f"content of {number}")
        if document.vector is None:
            seen.without_vector.append(number)
        elif not np.array_equal(document.vector, VECTORS[number]):
            seen.wrong.append(f"vector of {number}")
    damaged = await c.damaged("docs")
    assert sorted(each.id for each in damaged) == [IDS[number] for number in seen.without_vector]
    return kept


async def search(c, seen, kept, vectors) -> None:
    """By vector, filter and word exactly what is there is found."""
    query = many(1, seed=5)
    scores = VECTORS @ query[0]
    (hits,) = await c.search("docs", query, COUNT)
    expected = sorted(vectors, key=lambda number: -scores[number])
    if [hit.id for hit in hits] != [IDS[number] for number in expected]:
        seen.wrong.append("search")
    (hits,) = await c.search("docs", query, COUNT, where={"lang": "en", "n": {"$gte": 20}})
    wanted = {IDS[number] for number in vectors if number % 2 and number >= 20}
    if {hit.id for hit in hits} != wanted:
        seen.wrong.append("filter")
    (hits,) = await c.search("docs", query, COUNT, query_texts=["plums"], hybrid=True, explain=True)
    found = {hit.id for hit in hits if hit.explain["word_rank"]}
    if found != {IDS[number] for number in vectors if number % 3 == 0}:
        seen.wrong.append("words")
    documents, _ = await c.scan("docs", limit=COUNT + 1)
    if {each.id for each in documents} != {IDS[number] for number in kept}:
        seen.wrong.append("scan")


def damaged_copy(whole, file, change):
    copy = whole.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(whole, copy)
    target = copy / "docs" / file
    target.write_bytes(change(target.read_bytes()))
    return copy


def flipped(at, bit):
    return lambda data: data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


def flips(size, count, seed):
    chance = random.Random(seed)
    return [(chance.randrange(size), chance.randrange(8)) for _ in range(count)]


def cuts(size, count, seed):
    chance = random.Random(seed)
    edges = [0, 1, 20, 100, size - 1]
    return sorted({*edges, *(chance.randrange(size) for _ in range(count))})


async def check_damage(whole, file, change, place):
    seen = await look(damaged_copy(whole, file, change))
    assert not seen.wrong, (place, seen.wrong)
    if seen.missing or seen.without_vector:
        assert seen.told.notes, place
    return seen


async def test_whole_files_need_no_word(closed, killed):
    for whole in (closed, killed):
        seen = await look(shutil.copytree(whole, whole.with_name("copy"), dirs_exist_ok=True))
        assert (seen.told.notes, seen.wrong, seen.missing, seen.without_vector) == ([], [], [], [])


async def test_a_flipped_bit_in_the_vectors_costs_one_vector(closed):
    size = (closed / "docs" / "vectors.f32").stat().st_size
    for at, bit in flips(size, 25, seed=1):
        seen = await check_damage(closed, "vectors.f32", flipped(at, bit), at)
        assert not seen.missing
        assert len(seen.without_vector) <= 1


async def test_a_truncated_file_of_vectors_costs_those_behind_the_cut(closed):
    size = (closed / "docs" / "vectors.f32").stat().st_size
    for cut in cuts(size, 8, seed=2):
        seen = await check_damage(closed, "vectors.f32", lambda data, cut=cut: data[:cut], cut)
        assert not seen.missing


async def test_new_vectors_make_damaged_documents_whole(closed):
    copy = damaged_copy(closed, "vectors.f32", lambda data: data[:5_000])
    async with opened(copy) as c:
        damaged = await c.damaged("docs")
        assert len(damaged) > 50
        assert c.stats().collections[0].state == "degraded"
        assert [each.text for each in damaged] == [TEXTS[IDS.index(each.id)] for each in damaged]
        await c.upsert("docs", [damaged[0].id], VECTORS[:1], ["written meanwhile"])
        vectors = np.array([VECTORS[IDS.index(each.id)] for each in damaged])
        assert await c.mend("docs", damaged, vectors) == len(damaged) - 1
        assert await c.damaged("docs") == []
        assert (await c.get("docs", [damaged[0].id]))[0].text == "written meanwhile"
        assert (await c.check("docs")).is_sound


async def test_a_flipped_bit_in_the_database_costs_no_wrong_answer(closed):
    size = (closed / "docs" / "documents.sqlite").stat().st_size
    head = [(at, at % 8) for at in (*range(0, 100, 7), 105, 150, 2_000)]
    lost = 0
    for at, bit in [*head, *flips(size, 45, seed=3)]:
        seen = await check_damage(closed, "documents.sqlite", flipped(at, bit), at)
        assert len(seen.missing) < COUNT - len(GONE), at
        lost += len(seen.missing)
    assert lost < 300


async def test_a_truncated_database_gives_back_what_is_left(closed):
    size = (closed / "docs" / "documents.sqlite").stat().st_size
    for cut in cuts(size, 12, seed=4):
        seen = await check_damage(closed, "documents.sqlite", lambda data, cut=cut: data[:cut], cut)
        assert seen.told.notes


async def test_what_a_damaged_log_held_is_missed_out_loud(killed):
    """An older state is a right answer here, as long as it is said that writes are missing."""
    size = (killed / "docs" / "documents.sqlite-wal").stat().st_size
    changes = [(f"cut {cut}", lambda data, cut=cut: data[:cut]) for cut in cuts(size, 10, seed=5)]
    changes += [(f"flip {at}", flipped(at, bit)) for at, bit in flips(size, 20, seed=6)]
    for place, change in changes:
        copy = damaged_copy(killed, "documents.sqlite-wal", change)
        told = Told([])
        async with opened(copy, told=told) as c:
            documents = await c.get("docs", IDS, ALL)
            for number, document in enumerate(documents):
                if document is None or document.text == TEXTS[number]:
                    is_newest = document is not None or number in GONE
                    assert is_newest or told.notes, (place, number)
                else:
                    assert document.text == "old", (place, number)
                    assert told.notes, (place, number)
                if document is not None and document.vector is not None:
                    sign = -1 if document.text == "old" else 1
                    np.testing.assert_array_equal(document.vector, sign * VECTORS[number])
            await c.upsert("docs", IDS, VECTORS, TEXTS, METADATA)
            assert (await c.check("docs")).is_sound, place
            (hits,) = await c.search("docs", VECTORS[3:4], 1)
            assert hits[0].id == IDS[3]


async def test_the_manifest_is_restored_from_the_database_and_the_other_way_round(closed):
    for change in (flipped(40, 3), lambda data: data[:30], lambda data: b""):
        seen = await check_damage(closed, "collection.json", change, "manifest")
        assert not seen.missing
        assert "restored" in seen.told.text()


async def test_a_collection_without_manifest_and_database_is_set_aside(closed):
    copy = damaged_copy(closed, "collection.json", lambda data: b"")
    (copy / "docs" / "documents.sqlite").write_bytes(b"x" * 5_000)
    told = Told([])
    async with opened(copy, told=told) as c:
        assert c.names() == []
        assert "set aside" in told.text()
        await c.create("docs", model="m", fingerprint="f", dim=8)
    (aside,) = (copy / ".set-aside").iterdir()
    assert (aside / "vectors.f32").exists()


async def test_a_damaged_note_of_the_last_version_raises_no_alarm(closed):
    for change in (flipped(3, 1), lambda data: data[:7], lambda data: b""):
        seen = await check_damage(closed, "acknowledged", change, "acknowledged")
        assert (seen.told.notes, seen.missing) == ([], [])


@pytest.mark.parametrize("file", ["vectors.f32", "documents.sqlite", "acknowledged"])
async def test_a_missing_file_is_told(closed, file):
    copy = damaged_copy(closed, file, lambda data: data)
    (copy / "docs" / file).unlink()
    seen = await look(copy)
    assert not seen.wrong
    assert bool(seen.told.notes) == (file != "acknowledged")


async def test_damaged_files_are_kept_for_whoever_looks_into_it(closed):
    copy = damaged_copy(closed, "documents.sqlite", lambda data: data[:20_000])
    await look(copy)
    (aside,) = (copy / "docs").glob("corrupt-*")
    assert (aside / "documents.sqlite").stat().st_size == 20_000


async def test_damage_that_shows_in_use_is_mended_on_the_way(closed):
    """The file changes behind the back of an open collection."""
    async with opened(closed, told=(told := Told([]))) as c:
        assert (await c.get("docs", IDS[30:31]))[0].text == TEXTS[30]
        with sqlite3.connect(closed / "docs" / "documents.sqlite") as connection:
            connection.execute(
                "UPDATE texts SET text = 'forged' WHERE text LIKE 'text number 31 %'"
            )
            connection.execute("UPDATE documents SET metadata = X'FF00' WHERE id = 'doc-033'")
        connection.close()
        assert [each and each.text for each in await c.get("docs", IDS[30:35])] == [
            TEXTS[30], None, TEXTS[32], None, TEXTS[34],
        ]  # fmt: skip
        assert "damaged" in told.text()
        assert "forged" in (closed / "docs" / DAMAGED_FILE).read_text()
        assert (await c.check("docs")).is_sound


async def test_a_check_finds_and_mends_what_is_derived(closed):
    async with opened(closed) as c:
        assert (await c.check("docs")).is_sound
        with sqlite3.connect(closed / "docs" / "documents.sqlite") as connection:
            connection.execute("DELETE FROM fields WHERE value = 'en'")
            connection.execute("INSERT INTO texts VALUES (9999, 'orphan')")
            connection.execute("INSERT INTO words(words) VALUES ('delete-all')")
            connection.execute("UPDATE meta SET value = 7 WHERE name = 'count'")
        connection.close()
        report = await c.check("docs")
        assert not report.is_sound
        assert len(report.found) == 4
        assert len(report.mended) == 4
        assert (await c.check("docs")).is_sound
        seen = Seen()
        kept = await read(c, seen)
        await search(c, seen, kept, kept)
        assert not seen.wrong


async def test_a_check_finds_vectors_that_changed_under_it(closed):
    async with opened(closed) as c:
        await c.get("docs", IDS)
        with (closed / "docs" / "vectors.f32").open("r+b") as stream:
            for row in (150, 160):
                stream.seek(row * 48 + 20)
                stream.write(b"\xff\xff")
        report = await c.check("docs")
        assert len(report.found) == 1
        assert len(report.damaged_ids) == 2
        assert len((await c.search("docs", VECTORS[:1], COUNT))[0]) == COUNT - len(GONE) - 2


async def test_a_large_collection_is_verified_after_its_opening(closed, monkeypatch):
    monkeypatch.setattr("emberd.index.store.opening._ALWAYS_CHECK_BYTES", 0)
    with sqlite3.connect(closed / "docs" / "documents.sqlite") as connection:
        connection.execute("UPDATE texts SET text = 'forged' WHERE text LIKE 'text number 31 %'")
    connection.close()
    async with opened(closed, told=(told := Told([]))) as c:
        await c.info("docs")
        await c._collections["docs"].residence._scrubbing
        assert "damaged" in told.text()
        assert await c.get("docs", [IDS[31]]) == [None]
        assert (await c.check("docs")).is_sound


async def test_a_database_that_only_looks_sound_is_salvaged(closed, monkeypatch):
    from emberd.index.store import store

    calls = []
    check_content = store.check_content

    def failing_once(transaction, folder):
        calls.append(folder)
        if len(calls) == 1:
            raise sqlite3.DatabaseError("database disk image is malformed")
        return check_content(transaction, folder)

    monkeypatch.setattr(store, "check_content", failing_once)
    seen = await look(closed)
    assert "were saved into a new one" in seen.told.text()
    assert (seen.missing, seen.without_vector, seen.wrong) == ([], [], [])
