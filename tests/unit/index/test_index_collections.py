"""What a user of collections can rely on, with exact search."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from index_helpers import DIM, collection, many, opened, unit

from emberd.config import IndexSettings
from emberd.errors import (
    CollectionExistsError,
    CollectionModelMismatchError,
    CollectionNotFoundError,
    InvalidParamsError,
    ShuttingDownError,
    StorageError,
)

ALL = ("text", "metadata", "vector")


async def test_documents_come_back_as_they_went_in(folder):
    async with collection(folder) as c:
        done = await c.upsert(
            "docs", ["a", "b"], unit(1, 2), ["one", None], [{"n": 1, "t": ["x"]}, None]
        )
        assert (done.inserted, done.updated, done.unchanged) == (2, 0, 0)
        a, nothing, b = await c.get("docs", ["a", "nothing", "b"], ALL)
        assert nothing is None
        assert (a.id, a.text, a.metadata) == ("a", "one", {"n": 1, "t": ["x"]})
        assert (b.id, b.text, b.metadata) == ("b", None, {})
        np.testing.assert_array_equal([a.vector, b.vector], unit(1, 2))


async def test_they_are_there_after_the_next_start(folder):
    async with collection(folder) as c:
        await c.upsert("docs", ["a"], unit(1), ["one"], [{"n": 1}])
    async with opened(folder) as c:
        (info,) = await c.list()
        assert (info.name, info.model, info.dim, info.count) == ("docs", "m", DIM, 1)
        assert info.state == "closed"
        assert info.size_bytes > 0
        (a,) = await c.get("docs", ["a"], ALL)
        assert (a.text, a.metadata) == ("one", {"n": 1})
        np.testing.assert_array_equal(a.vector, unit(1)[0])
        assert (await c.list())[0].state == "ready"


async def test_an_update_replaces_the_whole_document(folder):
    async with collection(folder) as c:
        first = await c.upsert("docs", ["a", "b"], unit(1, 2), ["one", "two"], [{"n": 1}, {}])
        done = await c.upsert("docs", ["a", "b"], unit(3, 2), None, None)
        assert (done.inserted, done.updated, done.unchanged) == (0, 2, 0)
        assert done.version > first.version
        (a,) = await c.get("docs", ["a"], ALL)
        assert (a.text, a.metadata) == (None, {})
        assert [hit.id for hit in (await c.search("docs", unit(3), 1))[0]] == ["a"]
        assert await c.search("docs", unit(1), 9, where={"n": 1}) == [[]]
        assert (await c.search("docs", unit(9), 9, query_texts=["one"], hybrid=True))[0]
        assert (await c.info("docs")).count == 2


async def test_a_document_that_is_the_same_is_left_alone(folder):
    async with collection(folder) as c:
        arguments = ("docs", ["a", "b"], unit(1, 2), ["one", "two"], [{"x": 1, "y": 2}, {}])
        first = await c.upsert(*arguments)
        again = await c.upsert(
            "docs", ["a", "b"], unit(1, 2), ["one", "two"], [{"y": 2, "x": 1}, {}]
        )
        assert (again.inserted, again.updated, again.unchanged) == (0, 0, 2)
        assert again.version == first.version
        for changed in (
            (unit(1, 3), ["one", "two"], [{"x": 1, "y": 2}, {}]),
            (unit(1, 3), ["one", "TWO"], [{"x": 1, "y": 2}, {}]),
            (unit(1, 3), ["one", "TWO"], [{"x": 1, "y": 2}, {"z": None}]),
        ):
            done = await c.upsert("docs", ["a", "b"], *changed)
            assert (done.updated, done.unchanged) == (1, 1)


async def test_of_an_id_that_comes_twice_the_last_counts(folder):
    async with collection(folder) as c:
        done = await c.upsert("docs", ["a", "b", "a"], unit(1, 2, 3), ["x", "y", "z"])
        assert done.inserted == 2
        (a,) = await c.get("docs", ["a"], ALL)
        assert a.text == "z"
        np.testing.assert_array_equal(a.vector, unit(3)[0])


async def test_what_is_deleted_is_gone_for_every_question(folder):
    async with collection(folder) as c:
        await c.upsert("docs", list("abc"), unit(1, 2, 3), ["red", "red", "blue"], [{"k": 1}] * 3)
        assert await c.delete("docs", ["a", "zz", "a"]) == 1
        assert await c.delete("docs", ["a"]) == 0
        assert await c.get("docs", ["a"]) == [None]
        assert {hit.id for hit in (await c.search("docs", unit(1), 9))[0]} == {"b", "c"}
        (found,) = await c.search("docs", unit(1), 9, query_texts=["red"], hybrid=True)
        assert {hit.id for hit in found} == {"b", "c"}
        assert len((await c.scan("docs", where={"k": 1}))[0]) == 2
        assert await c.delete("docs", where={"k": 1}) == 2
        assert (await c.info("docs")).count == 0
        await c.upsert("docs", ["a"], unit(4), ["back"])
        assert (await c.get("docs", ["a"]))[0].text == "back"


async def test_deleting_needs_ids_or_a_filter_and_not_both(folder):
    async with collection(folder) as c:
        for arguments in ({}, {"ids": ["a"], "where": {}}):
            with pytest.raises(InvalidParamsError):
                await c.delete("docs", **arguments)
        await c.upsert("docs", ["a"], unit(1))
        assert await c.delete("docs", ids=[]) == 0
        assert await c.delete("docs", where={}) == 1


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((["a"], many(2)), "vectors"),
        ((["a"], np.zeros((1, 3))), "vectors"),
        ((["a"], np.full((1, DIM), np.nan)), "vectors"),
        ((["a"], [["x"] * DIM]), "vectors"),
        ((["a"], unit(1), ["x", "y"]), "texts"),
        ((["a"], unit(1), ["\ud800"]), "texts"),
        ((["a"], unit(1), [7]), "texts"),
        ((["a"], unit(1), None, [{}, {}]), "metadata"),
        ((["a"], unit(1), None, [{"x": float("nan")}]), "metadata[0].x"),
        ((["\0"], unit(1)), "ids"),
    ],
)
async def test_what_cannot_be_stored_is_refused_by_name(folder, arguments, field):
    async with collection(folder) as c:
        with pytest.raises(InvalidParamsError) as caught:
            await c.upsert("docs", *arguments)
        assert caught.value.details["field"] == field
        assert (await c.info("docs")).count == 0


async def test_vectors_are_kept_at_length_one_and_zero_stays_zero(folder):
    async with collection(folder) as c:
        vectors = np.vstack([unit(1) * 7, np.zeros((1, DIM)), unit(2)])
        await c.upsert("docs", ["a", "zero", "b"], vectors)
        a, zero, b = await c.get("docs", ["a", "zero", "b"], ["vector"])
        np.testing.assert_allclose(a.vector, unit(1)[0], atol=1e-6)
        np.testing.assert_array_equal(b.vector, unit(2)[0])
        assert not zero.vector.any()
        hits = (await c.search("docs", unit(1) * 3, 3))[0]
        assert hits[0].id == "a"
        assert hits[0].score == pytest.approx(1.0, abs=1e-6)


async def test_names_are_checked_wherever_they_come_in(folder):
    async with collection(folder) as c:
        with pytest.raises(CollectionExistsError):
            await c.create("docs", model="m", fingerprint="f", dim=3)
        with pytest.raises(InvalidParamsError):
            await c.create("../evil", model="m", fingerprint="f", dim=3)
        with pytest.raises(InvalidParamsError):
            await c.create("fine", model="m", fingerprint="f", dim=0)
        with pytest.raises(CollectionNotFoundError, match="'docs'"):
            await c.search("dosc", unit(1), 1)
        with pytest.raises(InvalidParamsError):
            await c.drop("..")
        assert c.names() == ["docs"]


async def test_vectors_of_another_model_are_refused(folder):
    async with collection(folder) as c:
        await c.upsert("docs", ["a"], unit(1), fingerprint="f")
        for call in (
            c.upsert("docs", ["a"], unit(1), fingerprint="g"),
            c.search("docs", unit(1), 1, fingerprint="g"),
        ):
            with pytest.raises(CollectionModelMismatchError):
                await call


async def test_a_dropped_collection_leaves_nothing(folder):
    async with collection(folder) as c:
        await c.upsert("docs", ["a"], unit(1))
        await c.drop("docs")
        assert list(folder.iterdir()) == []
        with pytest.raises(CollectionNotFoundError):
            await c.get("docs", ["a"])
        await c.create("docs", model="m", fingerprint="f", dim=DIM)
        assert (await c.info("docs")).count == 0


async def test_what_was_left_half_made_or_half_dropped_is_swept_away(folder):
    for name in (".new-docs", ".dropped-docs-1"):
        (folder / name).mkdir()
        (folder / name / "documents.sqlite").write_bytes(b"x")
    async with opened(folder) as c:
        assert c.names() == []
        assert list(folder.iterdir()) == []
        await c.create("docs", model="m", fingerprint="f", dim=DIM)


async def test_pages_follow_one_another_to_the_end(folder):
    async with collection(folder) as c:
        ids = [f"d{number:03}" for number in range(25)]
        await c.upsert("docs", ids, many(25), None, [{"even": n % 2 == 0} for n in range(25)])
        for where, expected in ((None, ids), ({"even": True}, ids[::2]), ({}, ids)):
            seen, cursor = [], None
            while True:
                page, cursor = await c.scan("docs", where=where, limit=6, cursor=cursor)
                assert len(page) <= 6
                seen += [each.id for each in page]
                if cursor is None:
                    break
            assert seen == expected
        for bad in ("x", "-1", "9" * 30):
            with pytest.raises(InvalidParamsError):
                await c.scan("docs", cursor=bad)


async def test_the_nearest_come_first_with_what_was_asked_for(folder):
    async with collection(folder) as c:
        vectors = many(50)
        await c.upsert(
            "docs", [str(n) for n in range(50)], vectors, [f"text {n}" for n in range(50)]
        )
        queries = many(3, seed=9)
        for query, hits in zip(
            queries, await c.search("docs", queries, 7, include=["vector"]), strict=True
        ):
            scores = vectors @ query
            assert [int(hit.id) for hit in hits] == np.argsort(-scores)[:7].tolist()
            np.testing.assert_allclose(
                [hit.score for hit in hits], np.sort(scores)[::-1][:7], atol=1e-6
            )
            assert all(hit.text is None and hit.metadata is None for hit in hits)
            np.testing.assert_array_equal(hits[0].vector, vectors[int(hits[0].id)])
        (hits,) = await c.search("docs", queries[:1], 50, min_score=0.3)
        assert all(hit.score >= 0.3 for hit in hits)
        assert len(hits) == (vectors @ queries[0] >= 0.3).sum()
        assert await c.search("docs", np.zeros((0, DIM)), 3) == []
        for bad in (
            {"k": 0},
            {"k": 10_001},
            {"k": 3, "include": ["all"]},
            {"k": 3, "hybrid": True},
        ):
            with pytest.raises(InvalidParamsError):
                await c.search("docs", queries, **bad)


async def test_a_filter_narrows_every_kind_of_search(folder):
    async with collection(folder) as c:
        texts = ["apple pie" if n % 3 else "plum cake" for n in range(30)]
        metadata = [{"lang": "en" if n % 2 else "de", "n": n} for n in range(30)]
        await c.upsert("docs", [str(n) for n in range(30)], many(30), texts, metadata)
        where = {"lang": "en", "n": {"$lt": 20}}
        allowed = {str(n) for n in range(1, 20, 2)}
        (near,) = await c.search("docs", unit(5), 30, where=where)
        assert {hit.id for hit in near} == allowed
        (both,) = await c.search(
            "docs", unit(5), 30, where=where, query_texts=["plum"], hybrid=True, explain=True
        )
        assert {hit.id for hit in both} == allowed
        assert {hit.id for hit in both if hit.explain["word_rank"]} == allowed & {
            str(n) for n in range(0, 30, 3)
        }


async def test_a_hybrid_search_finds_the_word_that_the_vector_does_not_know(folder):
    async with collection(folder) as c:
        texts = [f"nothing of note {n}" for n in range(40)]
        texts[17] = "the zanzibar clause"
        await c.upsert("docs", [str(n) for n in range(40)], many(40), texts)
        query = -many(40)[17:18]
        (near,) = await c.search("docs", query, 5)
        assert "17" not in [hit.id for hit in near]
        (hits,) = await c.search(
            "docs", query, 5, query_texts=["Zanzibar?"], hybrid=True,
            include=["snippet"], explain=True,
        )  # fmt: skip
        hit = next(hit for hit in hits if hit.id == "17")
        assert hit.snippet == "the zanzibar clause"
        assert hit.explain["word_rank"] == 1
        assert hit.explain["cosine"] == pytest.approx(-1.0, abs=1e-5)
        for odd in ('" OR "', "*", "", "NEAR(a b)", "text:x", "\0", "é" * 50):
            await c.search("docs", query, 5, query_texts=[odd], hybrid=True)


async def test_an_equal_search_is_remembered_until_the_next_write(folder):
    async with collection(folder) as c:
        await c.create("other", model="m", fingerprint="f", dim=DIM)
        await c.upsert("docs", ["a"], unit(1))
        search = lambda: c.search("docs", unit(2), 5)  # noqa: E731
        first = await search()
        await c.upsert("other", ["x"], unit(1))
        assert await search() == first
        assert c.stats().collections[0].cached == 1
        await c.upsert("docs", ["b"], unit(2))
        assert [hit.id for hit in (await search())[0]] == ["b", "a"]
        await c.delete("docs", ["b"])
        assert [hit.id for hit in (await search())[0]] == ["a"]
        await c.upsert("docs", ["a"], unit(1))  # changes nothing
        await search()
        assert c.stats().collections[0].cached == 2
        assert await c.search("docs", unit(2), 5, where={"x": 1}) == [[]]
        assert await c.search("docs", unit(2), 5, where={"x": True}) == [[]]
        assert c.stats().collections[0].cached == 2


async def test_many_small_writes_share_their_commits(folder):
    async with collection(folder) as c:
        before = (await c.upsert("docs", ["first"], unit(0))).version
        done = await asyncio.gather(
            *(c.upsert("docs", [f"d{n}"], unit(n + 1), [f"text {n}"]) for n in range(200))
        )
        assert all(each.inserted == 1 for each in done)
        assert max(each.version for each in done) - before < 200
        assert (await c.info("docs")).count == 201


async def test_a_write_that_fails_takes_no_other_with_it(folder, monkeypatch):
    from emberd.index.store.transaction import Transaction

    insert = Transaction._insert

    def failing(self, batch, indices):
        insert(self, batch, indices)
        if "bad" in batch.ids:
            raise InvalidParamsError("bad luck")

    monkeypatch.setattr(Transaction, "_insert", failing)
    async with collection(folder) as c:
        names = [f"d{n}" for n in range(20)] + ["bad"] + [f"e{n}" for n in range(20)]
        done = await asyncio.gather(
            *(
                c.upsert("docs", [name], unit(n), [name], [{f"key{n}": n}])
                for n, name in enumerate(names)
            ),
            return_exceptions=True,
        )
        assert [
            name for name, each in zip(names, done, strict=True) if isinstance(each, Exception)
        ] == ["bad"]
        assert (await c.info("docs")).count == 40
        for n, name in enumerate(names):
            found = [
                hit.id for hit in (await c.search("docs", unit(n), 1, where={f"key{n}": n}))[0]
            ]
            assert found == ([] if name == "bad" else [name])
        assert (await c.check("docs")).is_sound


async def test_a_document_never_vanishes_while_it_is_updated(folder):
    async with collection(folder) as c:
        await c.upsert("docs", ["a", "b"], unit(1, 2), ["v0", "w"], [{"live": True}] * 2)
        seen = 0
        stop = asyncio.Event()

        async def update():
            for n in range(150):
                await c.upsert("docs", ["a"], unit(n), [f"v{n}"], [{"live": True, "n": n}])
            stop.set()

        task = asyncio.create_task(update())
        while not stop.is_set():
            for options in ({}, {"where": {"live": True}}):
                (hits,) = await c.search("docs", unit(1_000 + seen), 5, **options)
                assert sorted(hit.id for hit in hits) == ["a", "b"]
                seen += 1
        await task
        assert seen > 10


async def test_searches_that_are_given_up_leave_nothing_behind(folder):
    async with collection(folder) as c:
        await c.upsert("docs", [str(n) for n in range(500)], many(500))
        for n in range(60):
            task = asyncio.create_task(c.search("docs", many(20, seed=n), 100))
            for _ in range(n % 7):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for n in range(20):
            assert len((await c.search("docs", many(1, seed=n), 3))[0]) == 3
        await c.upsert("docs", ["x"], unit(1))


async def test_after_closing_nothing_is_taken(folder):
    async with collection(folder) as c:
        await c.upsert("docs", ["a"], unit(1))
    for call in (c.upsert("docs", ["a"], unit(1)), c.search("docs", unit(1), 1)):
        with pytest.raises(ShuttingDownError):
            await call


async def test_f16_halves_the_vectors_and_keeps_the_order(folder):
    async with collection(folder, settings=IndexSettings(dtype="f16")) as c:
        vectors = many(300)
        await c.upsert("docs", [str(n) for n in range(300)], vectors)
        (hits,) = await c.search("docs", many(1, seed=5), 10)
        scores = vectors @ many(1, seed=5)[0]
        assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1][:10], abs=2e-3)
        assert (folder / "docs" / "vectors.f16").exists()
        again = await c.upsert("docs", ["0"], vectors[:1])
        assert again.unchanged == 1
    async with opened(folder) as c:  # the collection's own dtype, whatever the settings say now
        assert (await c.list())[0].dtype == "f16"
        assert len((await c.search("docs", many(1, seed=5), 10))[0]) == 10


async def test_a_folder_that_cannot_be_used_is_told_and_never_fatal(folder, told):
    (folder / "file").write_text("in the way")
    async with opened(folder / "file", told=told) as c:
        assert await c.list() == []
        assert c.stats().collections == []
        assert "index.off" in told.text()
        with pytest.raises(StorageError, match="EMBERD_HOME"):
            await c.create("docs", model="m", fingerprint="f", dim=DIM)
        with pytest.raises(StorageError):
            await c.search("docs", unit(1), 1)


async def test_a_network_file_system_is_refused(folder, told, monkeypatch):
    monkeypatch.setattr("emberd.cache.disk.file_systems.is_network", lambda kind: True)
    async with opened(folder, told=told) as c:
        with pytest.raises(StorageError, match="network file system"):
            await c.create("docs", model="m", fingerprint="f", dim=DIM)
