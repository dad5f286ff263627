"""The filter language: what can be written can be read, and what cannot is pointed at."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.cli.filters import parse_filter
from emberd.errors import InvalidParamsError


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('lang = "en"', {"lang": {"$eq": "en"}}),
        ("lang == en", {"lang": {"$eq": "en"}}),
        ("lang != 'en'", {"lang": {"$ne": "en"}}),
        ("line < 10", {"line": {"$lt": 10}}),
        ("line<=-1.5e2", {"line": {"$lte": -150.0}}),
        ("line > .5", {"line": {"$gt": 0.5}}),
        ("mtime >= 2024-01-31", {"mtime": {"$gte": "2024-01-31"}}),
        ('path ~ "guide"', {"path": {"$contains": "guide"}}),
        ("path ~ docs/guide.md", {"path": {"$contains": "docs/guide.md"}}),
        ("path !~ guide", {"path": {"$not": {"$contains": "guide"}}}),
        ("draft = true", {"draft": {"$eq": True}}),
        ("draft = NULL", {"draft": {"$eq": None}}),
        ('draft = "true"', {"draft": {"$eq": "true"}}),
        ("lang in (en, 'de', 3)", {"lang": {"$in": ["en", "de", 3]}}),
        ("lang not in (en)", {"lang": {"$nin": ["en"]}}),
        ("author.name exists", {"author.name": {"$exists": True}}),
        ('"odd name" = 1', {"odd name": {"$eq": 1}}),
        (r'a = "say \"hi\" \\ "', {"a": {"$eq": 'say "hi" \\ '}}),
        ("not a = 1", {"$not": {"a": {"$eq": 1}}}),
        ("a = 1 and b = 2", {"$and": [{"a": {"$eq": 1}}, {"b": {"$eq": 2}}]}),
        ("a=1 OR b=2 or c=3", {"$or": [{"a": {"$eq": 1}}, {"b": {"$eq": 2}}, {"c": {"$eq": 3}}]}),
        ("((a = 1))", {"a": {"$eq": 1}}),
        ("a\n=\t1", {"a": {"$eq": 1}}),
    ],
)
def test_a_filter_is_read(text: str, where: dict[str, Any]) -> None:
    assert parse_filter(text) == where


def test_and_binds_closer_than_or_and_not_closest() -> None:
    assert parse_filter("a=1 or not b=2 and c=3") == {
        "$or": [
            {"a": {"$eq": 1}},
            {"$and": [{"$not": {"b": {"$eq": 2}}}, {"c": {"$eq": 3}}]},
        ]
    }
    assert parse_filter("(a=1 or b=2) and c=3") == {
        "$and": [{"$or": [{"a": {"$eq": 1}}, {"b": {"$eq": 2}}]}, {"c": {"$eq": 3}}]
    }


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 0, "expected a field"),
        ("  ", 2, "expected a field"),
        ("lang", 4, "expected an operator"),
        ("lang =", 6, "expected a value"),
        ("lang = and", 7, "put it into quotes"),
        ("lang = en de", 10, "expected and, or, or the end, and not 'de'"),
        ("(lang = en", 10, "expected and, or, or )"),
        ("lang = en)", 9, "expected and, or, or the end"),
        ('lang = "en', 7, "this quote has no end"),
        ("lang in en", 8, "expected ("),
        ("lang in (en", 11, "expected , or )"),
        ("lang in ()", 9, "expected a value"),
        ("lang not = en", 9, "expected in"),
        ("and = 1", 0, "expected a field"),
        ("$and = 1", 0, "does not begin with $"),
        ('"" = 1', 0, "a field has a name"),
        ("a = 1e999", 4, "too large"),
        ("a ! 1", 2, "means nothing"),
        ("(" * 60 + "a=1" + ")" * 60, 51, "nested more than 50"),
    ],
)
def test_what_cannot_be_read_is_pointed_at(text: str, position: int, says: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        parse_filter(text)
    assert says in caught.value.message
    assert caught.value.details == {"field": "filter", "position": position}
    shown, caret = caught.value.message.split("\n")[-2:]
    assert shown == f"  {text}"
    assert caret.index("^") - 2 == position


def test_the_caret_stands_under_its_own_line() -> None:
    with pytest.raises(InvalidParamsError) as caught:
        parse_filter("a = 1 and\nb =")
    assert caught.value.message.split("\n")[-2:] == ["  b =", "     ^"]


# -- everything that can be written

FIELDS = st.from_regex(r"[a-z_][a-z0-9_.-]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"and", "or", "not", "in", "exists"}
)
STRINGS = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = STRINGS | NUMBERS | st.booleans() | st.none()
OPERATORS = {"=": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte"}


def written(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return json.dumps(value) if value is None or isinstance(value, bool) else repr(value)


@st.composite
def conditions(draw: Any) -> tuple[str, dict[str, Any]]:
    field, kind = draw(FIELDS), draw(st.sampled_from([*OPERATORS, "~", "!~", "in", "exists"]))
    if kind == "exists":
        return f"{field} exists", {field: {"$exists": True}}
    if kind == "in":
        values = draw(st.lists(VALUES, min_size=1, max_size=3))
        return f"{field} in ({', '.join(map(written, values))})", {field: {"$in": values}}
    value = draw(VALUES)
    text = f"{field} {kind} {written(value)}"
    if kind == "!~":
        return text, {field: {"$not": {"$contains": value}}}
    return text, {field: {OPERATORS.get(kind, "$contains"): value}}


def joined(part: Any) -> Any:
    several = st.lists(part, min_size=2, max_size=3)
    return st.one_of(
        part.map(lambda each: (f"not ({each[0]})", {"$not": each[1]})),
        *(
            several.map(
                lambda parts, word=word: (
                    f" {word} ".join(f"({text})" for text, _ in parts),
                    {f"${word}": [where for _, where in parts]},
                )
            )
            for word in ("and", "or")
        ),
    )


@given(st.recursive(conditions(), joined, max_leaves=8))
def test_every_filter_that_can_be_written_means_what_it_says(
    filter_and_where: tuple[str, dict[str, Any]],
) -> None:
    text, where = filter_and_where
    assert parse_filter(text) == where


@given(st.text(alphabet="ab1 =<>!~(),\"'\\.andorti\n", max_size=40))
def test_any_text_is_read_or_refused_at_a_place(text: str) -> None:
    position = 0
    try:
        parse_filter(text)
    except InvalidParamsError as exc:
        position = exc.details["position"]
    assert 0 <= position <= len(text)
