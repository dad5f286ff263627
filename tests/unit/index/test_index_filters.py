"""Filters: what they mean (an evaluator in Python says it too), what they refuse, and that nothing
in them is ever SQL."""

from __future__ import annotations

import operator as op
import sqlite3
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberd.errors import InvalidParamsError
from emberd.index.filters import compile_filter, parse_filter
from emberd.index.metadata import decode_metadata, encode_metadata, fields_of
from emberd.index.store.schema import create_schema

keys = st.sampled_from(["a", "b", "a.b", "lang", "$x", "q\"u'o", "\0", "ключ", "x]"])
texts = st.one_of(
    st.sampled_from(["", "a", "ab", "B", "1", "'; DROP TABLE documents; --", "%", "_", "\0", "é"]),
    st.text(max_size=4).filter(lambda text: text.isprintable()),
)
numbers = st.one_of(
    st.sampled_from([0, 1, -1, 1.0, 0.5, 0.1 + 0.2, 1e300, -0.0, 2**62, -(2**63), 2**63 - 1]),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=6,
)
metadata = st.dictionaries(keys, values, max_size=4)
fields = keys.filter(lambda key: not key.startswith("$"))
orders = st.sampled_from(["$gt", "$gte", "$lt", "$lte"])
operators = st.one_of(
    st.tuples(st.sampled_from(["$eq", "$ne", "$contains"]), scalars),
    st.tuples(orders, st.one_of(numbers, texts)),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(scalars, max_size=3)),
    st.tuples(st.just("$exists"), st.booleans()),
)
operator_maps = st.lists(operators, min_size=1, max_size=2).map(dict)
conditions = st.one_of(
    scalars, operator_maps, operator_maps.map(lambda operators: {"$not": operators})
)
filters = st.recursive(
    st.dictionaries(fields, conditions, max_size=2),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"$and": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"$or": st.lists(inner, min_size=1, max_size=2)}),
        st.fixed_dictionaries({"$not": inner}),
    ),
    max_leaves=3,
)


def at_path(value: object, path: str, prefix: str = "") -> Iterator[object]:
    """Every value whose dotted path is `path`."""
    for key, child in value.items():
        if prefix + key == path:
            yield child
        if isinstance(child, dict):
            yield from at_path(child, path, f"{prefix}{key}.")


def kind(value: object) -> object:
    return float if isinstance(value, int | float) and not isinstance(value, bool) else type(value)


def same(a: object, b: object) -> bool:
    return kind(a) is kind(b) and a == b


def claim(found: list[object], operator: str, wanted: object) -> bool:
    if operator in ("$ne", "$nin"):
        return not claim(found, {"$ne": "$eq", "$nin": "$in"}[operator], wanted)
    if operator == "$exists":
        return bool(found) is wanted
    if operator == "$not":
        return not all(claim(found, *each) for each in wanted.items())
    return any(claim_of_one(each, operator, wanted) for each in found)


def claim_of_one(value: object, operator: str, wanted: object) -> bool:
    if operator == "$eq":
        return same(value, wanted)
    if operator == "$in":
        return any(same(value, each) for each in wanted)
    if operator == "$contains":
        if isinstance(value, list):
            return any(same(each, wanted) for each in value)
        return isinstance(value, str) and isinstance(wanted, str) and wanted in value
    compare = {"$gt": op.gt, "$gte": op.ge, "$lt": op.lt, "$lte": op.le}[operator]
    return kind(value) is kind(wanted) and compare(value, wanted)


def matches(document: dict, where: dict) -> bool:
    for key, value in where.items():
        if key == "$and":
            is_match = all(matches(document, each) for each in value)
        elif key == "$or":
            is_match = any(matches(document, each) for each in value)
        elif key == "$not":
            is_match = not matches(document, value)
        else:
            found = list(at_path(document, key))
            claims = value if isinstance(value, dict) else {"$eq": value}
            is_match = all(claim(found, *each) for each in claims.items())
        if not is_match:
            return False
    return True


class Table:
    """The tables that a compiled filter reads, with some documents in them."""

    def __init__(self, documents: list[dict]) -> None:
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        create_schema(self.connection)
        for label, document in enumerate(documents, 1):
            encoded = encode_metadata(document)
            self.connection.execute(
                "INSERT INTO documents VALUES (?, ?, ?, x'', 0, 0)", (label, str(label), encoded)
            )
            for path, number, value in fields_of(decode_metadata(encoded)):
                self.connection.execute("INSERT OR IGNORE INTO paths(name) VALUES (?)", (path,))
                self.connection.execute(
                    "INSERT INTO fields SELECT path, ?, ?, ? FROM paths WHERE name = ?",
                    (number, value, label, path),
                )

    def select(self, where: dict) -> list[int]:
        sql, bound = compile_filter(parse_filter(where))
        return sorted(label for (label,) in self.connection.execute(sql, bound))

    def close(self) -> None:
        self.connection.close()


@settings(max_examples=300, deadline=None)
@given(st.lists(metadata, max_size=5), filters)
def test_sql_selects_what_python_would(documents: list[dict], where: dict) -> None:
    table = Table(documents)
    try:
        expected = [
            label for label, document in enumerate(documents, 1) if matches(document, where)
        ]
        assert table.select(where) == expected
    finally:
        table.close()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [1, 2, 3, 4]),
        ({"lang": "en"}, [1, 3]),
        ({"lang": "en", "year": 2020}, [1]),
        ({"year": {"$gte": 2020, "$lt": 2023}}, [1, 2]),
        ({"year": 2020.0}, [1]),
        ({"draft": True}, [2]),
        ({"draft": 1}, []),
        ({"tags": {"$contains": "fast"}}, [1]),
        ({"path": {"$contains": "guide"}}, [2]),
        ({"author.name": "Ada"}, [3]),
        ({"author": {"$exists": True}}, [3]),
        ({"lang": {"$ne": "en"}}, [2, 4]),
        ({"lang": {"$in": ["de", "fr"]}}, [2]),
        ({"lang": {"$nin": ["de", "en"]}}, [4]),
        ({"gone": None}, [4]),
        ({"gone": {"$exists": False}}, [1, 2, 3]),
        ({"$or": [{"year": 2020}, {"lang": "de"}]}, [1, 2]),
        ({"$not": {"lang": "en"}}, [2, 4]),
        ({"year": {"$not": {"$gt": 2020}}}, [1, 3, 4]),
    ],
)
def test_each_operator_means_what_it_says(where: dict, expected: list[int]) -> None:
    table = Table(
        [
            {"lang": "en", "year": 2020, "tags": ["fast", 1]},
            {"lang": "de", "year": 2021, "path": "docs/guide/x.md", "draft": True},
            {"lang": "en", "author": {"name": "Ada"}},
            {"gone": None},
        ]
    )
    assert table.select(where) == expected
    table.close()


@pytest.mark.parametrize(
    "evil",
    [
        "'; DROP TABLE documents; --",
        "a') OR 1=1 --",
        '"; DELETE FROM fields; --',
        "a.$ OR '1'='1'",
        "x\0y",
        "?",
        ":name",
        "a.b[0]",
    ],
)
def test_nothing_in_a_filter_is_ever_sql(evil: str) -> None:
    table = Table([{"a": 1}, {evil: evil}])
    plain, _ = compile_filter(parse_filter({"field": "value"}))
    for where in ({evil: evil}, {evil: {"$in": [evil]}}, {"a": {"$contains": evil}}):
        sql, bound = compile_filter(parse_filter(where))
        assert sql.count("?") == len(bound)
        assert evil in bound
        assert len(evil) < 2 or evil not in sql
    assert compile_filter(parse_filter({evil: evil}))[0] == plain
    assert table.select({evil: evil}) == [2]
    assert table.select({}) == [1, 2]
    table.close()


@pytest.mark.parametrize(
    ("where", "place", "hint"),
    [
        ("lang = en", "where", "must be a map"),
        ({"lang": {"$eqq": 1}}, "where.lang.$eqq", "did you mean $eq?"),
        ({"$nor": []}, "where.$nor", "did you mean $or?"),
        ({"$and": []}, "where.$and", "at least one filter"),
        ({"$or": [{"a": 1}, 7]}, "where.$or[1]", "must be a map"),
        ({"a": {"$in": 3}}, "where.a.$in", "must be a list"),
        ({"a": {"$in": [1, {}]}}, "where.a.$in[1]", "must be a string"),
        ({"a": {"$gt": True}}, "where.a.$gt", "a number or a string"),
        ({"a": {"$exists": 1}}, "where.a.$exists", "true or false"),
        ({"a": [1]}, "where.a", "use $in"),
        ({"a": {}}, "where.a", "name an operator"),
        ({"a": {"name": "x"}}, "where.a.name", "names no operator"),
        ({"a": float("nan")}, "where.a", "finite"),
        ({"a": 1 << 64}, "where.a", "64 bits"),
        ({"a": b"x"}, "where.a", "must be a string"),
        ({"": 1}, "where", "keys are field names"),
        ({1: 1}, "where", "keys are field names"),
        ({"a": "\ud800"}, "where.a", "not valid Unicode"),
    ],
)
def test_a_refusal_names_the_place(where: object, place: str, hint: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        parse_filter(where)
    assert caught.value.details["field"] == place
    assert caught.value.message.startswith(place)
    assert hint in caught.value.message


def test_a_filter_cannot_outgrow_sqlite() -> None:
    deep: dict = {"a": 1}
    for _ in range(40):
        deep = {"$not": deep}
    for where in (
        deep,
        {"$or": [{"a": 1}] * 10_000},
        {"$and": [{}] * 10_000},
        {"a": {"$in": list(range(10_001))}},
    ):
        with pytest.raises(InvalidParamsError):
            parse_filter(where)
    table = Table([{"a": 5}])
    assert table.select({"$and": [{"a": {"$in": list(range(9_000))}}] + [{"a": 5}] * 100}) == [1]
    assert table.select({"$or": [{"a": 1}] * 120 + [{"a": 5}]}) == [1]
    table.close()


def test_an_error_about_a_strange_name_can_travel() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        parse_filter({"\ud800": 1})
    assert caught.value.message.encode()
