"""How hits look, at any width."""

from __future__ import annotations

import click
from hypothesis import given
from hypothesis import strategies as st

from emberd.cli.hit_lines import excerpt, hit_lines, place_of
from emberd.client import Document, Hit

TEXT = "The daemon starts by itself. " * 8 + "To stop it, say emberd down. " + "Then it goes. " * 8


def test_an_excerpt_is_the_part_with_the_words_of_the_query() -> None:
    lines = excerpt(TEXT, "how do I stop the daemon", width=60, lines=2)
    assert "stop it" in " ".join(lines)
    assert lines[0].startswith("... ")
    assert lines[-1].endswith(" ...")


def test_an_excerpt_without_any_of_the_words_is_the_beginning() -> None:
    lines = excerpt(TEXT, "zebra", width=60, lines=2)
    assert lines[0].startswith("The daemon starts")
    assert excerpt("short", "zebra", width=60, lines=3) == ["short"]
    assert excerpt(" \n ", "zebra", width=60, lines=3) == []


def test_words_are_found_in_their_other_forms() -> None:
    text = "Nothing here at all.\n" * 5 + "It was starting.\n"
    assert excerpt(text, "how to start it", width=60, lines=1) == ["... It was starting."]


@given(st.text(max_size=500), st.text(max_size=30), st.integers(20, 120), st.integers(1, 5))
def test_an_excerpt_fits(text: str, query: str, width: int, lines: int) -> None:
    found = excerpt(text, query, width=width, lines=lines)
    assert len(found) <= lines
    assert all(len(line) <= width for line in found)


def test_a_place_is_seen_from_where_the_person_is() -> None:
    metadata = {"root": "/home/me/docs", "path": "sub/a.md", "line": 7}
    document = Document(id="x", metadata=metadata)
    assert place_of(document, "/home/me") == "docs/sub/a.md:7"
    assert place_of(document, "/home/me/docs") == "sub/a.md:7"
    assert place_of(document, "/home/you") == "/home/me/docs/sub/a.md:7"
    assert place_of(Document(id="x", metadata={"path": "a.md"}), "/") == "a.md"
    assert place_of(Document(id="note 1"), "/") == "note 1"
    assert place_of(Document(id="note 1", metadata={"path": 3}), "/") == "note 1"


def test_a_hit_has_its_rank_score_place_and_heading_above_its_text() -> None:
    metadata = {"root": "/d", "path": "a.md", "line": 3, "heading": "Guide > Speed"}
    hit = Hit(id="/d/a.md#0", score=0.7251, text="Go faster.\n\n    code", metadata=metadata)
    lines = hit_lines(1, hit, "speed", width=80, folder="/d")
    assert [click.unstyle(line) for line in lines] == [
        " 1  0.725  a.md:3  Guide > Speed",
        "    Go faster.",
        "    code",
    ]
    full = hit_lines(12, hit, "speed", width=80, is_full=True, folder="/d")
    assert full[1:] == ["    Go faster.", "", "        code"]


def test_what_a_file_holds_gives_no_orders_to_the_terminal() -> None:
    metadata = {"path": "a\x1b[2J.md", "heading": "x\x9b31m"}
    hit = Hit(id="x", score=0.5, text="red \x1b[31m text\x07", metadata=metadata)
    for is_full in (True, False):
        lines = hit_lines(1, hit, "red", width=80, is_full=is_full, folder="/")
        plain = "\n".join(click.unstyle(line) for line in lines)
        assert not any(ord(mark) < 32 or 127 <= ord(mark) < 160 for mark in plain.replace("\n", ""))
