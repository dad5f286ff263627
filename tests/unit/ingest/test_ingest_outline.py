"""The headings above a line, in Markdown, reStructuredText, code and HTML."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.ingest.html_text import text_of_html
from emberd.ingest.kinds import FileKind
from emberd.ingest.outline import Section, document_title, heading_of, outline

MARKDOWN = """---
title: front matter
---
# The *guide* to [emberd](https://example.org) #

Setext one
==========
text
Setext two
---
```sh
# no heading
```
### `Deep` _down_

- item
---
"""

RST = """=====
Title
=====

text

Part one
--------

Deeper
~~~~~~

Part two
--------

a table::

    ====  ====
    a     b
    ====  ====
"""

PYTHON = """import os

class Daemon:
    def start(self):
        run()

    async def stop(self) -> None:
        pass

def main():
    pass

main()
"""


def shown(text: str, kind: FileKind) -> list[tuple[int, int, str]]:
    return [(section.line, section.level, section.title) for section in outline(text, kind)]


def test_markdown_headings_are_found_outside_of_code_and_front_matter() -> None:
    assert shown(MARKDOWN, "markdown") == [
        (4, 1, "The guide to emberd"),
        (6, 1, "Setext one"),
        (9, 2, "Setext two"),
        (14, 3, "Deep down"),
    ]


def test_rst_titles_rank_in_the_order_of_their_marks() -> None:
    assert shown(RST, "rst") == [
        (2, 1, "Title"),
        (7, 2, "Part one"),
        (10, 3, "Deeper"),
        (13, 2, "Part two"),
    ]


def test_definitions_are_the_headings_of_code() -> None:
    assert shown(PYTHON, "code") == [
        (3, 0, "Daemon"),
        (4, 4, "start"),
        (7, 4, "stop"),
        (10, 0, "main"),
    ]


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("pub(crate) async fn read(path: &Path) -> Result<()> {", "read"),
        ("export default class Store<T> {", "Store"),
        ("func Open(name string) (*File, error) {", "Open"),
        ("  public static record Point(int x) {", "Point"),
        ("impl Display", "Display"),
    ],
)
def test_definitions_of_many_languages_are_known(line: str, title: str) -> None:
    assert [section.title for section in outline(line, "code")] == [title]


@pytest.mark.parametrize("line", ["classify(x)", "# def of it", "x = def_value", "defer close()"])
def test_other_lines_are_no_definitions(line: str) -> None:
    assert outline(line, "code") == []


def test_the_path_is_that_of_the_enclosing_headings() -> None:
    sections = [Section(1, 1, "A"), Section(3, 2, "B"), Section(5, 3, "C"), Section(7, 2, "D")]
    paths = [heading_of(sections, line) for line in (1, 2, 3, 6, 7, 99)]
    assert paths == ["A", "A", "A > B", "A > B > C", "A > D", "A > D"]
    assert heading_of(sections[1:], 1) == ""


def test_a_definition_whose_body_is_over_is_no_heading_any_more() -> None:
    sections = outline(PYTHON, "code")
    assert heading_of(sections, 4, indent=4) == "Daemon > start"
    assert heading_of(sections, 5, indent=8) == "Daemon > start"
    assert heading_of(sections, 11, indent=4) == "main"
    assert heading_of(sections, 13, indent=0) == ""


def test_a_document_has_a_title_where_one_heading_stands_above_all() -> None:
    assert document_title([Section(1, 1, "A"), Section(2, 2, "B")]) == "A"
    assert document_title([Section(1, 2, "B"), Section(9, 1, "A")]) == "A"
    assert document_title([Section(1, 1, "A"), Section(2, 1, "B")]) == ""
    assert document_title([]) == ""


def test_plain_text_has_no_headings() -> None:
    assert outline("# a\n===\n", "text") == []


@pytest.mark.parametrize("kind", ["markdown", "rst", "code", "text", "html"])
@given(text=st.text(alphabet="#=-~`*_ \t\nab>.[](){}def", max_size=200))
def test_no_text_breaks_an_outline(kind: FileKind, text: str) -> None:
    sections = outline(text, kind)
    lines = text.split("\n")
    assert all(1 <= section.line <= len(lines) for section in sections)
    assert [section.line for section in sections] == sorted(section.line for section in sections)


# -- HTML

PAGE = """<!doctype html>
<html><head><title>The
 Page</title><style>p { color: red }</style></head>
<body>
<nav><a href="/">Home</a> <a href="/b">B</a></nav>
<h1>Head &amp; <em>shoulders</em></h1>
<p>First   paragraph,
over two lines.<br>After a break.
<p>Second <b>one</b>.
<ul><li>item one<li>item two</ul>
<h2>Code</h2>
<pre>def f():
    return 1
</pre>
<script>var x = "<p>no</p>";</script>
<table><tr><td>a</td><td>b</td></tr></table>
<svg><text>drawn</text></svg>
</body></html>
"""


def test_a_page_becomes_what_a_reader_sees() -> None:
    page = text_of_html(PAGE)
    assert page.title == "The Page"
    assert page.text == (
        "Home B\n\nHead & shoulders\n\nFirst paragraph, over two lines.\nAfter a break.\n\n"
        "Second one.\n\nitem one\nitem two\n\nCode\n\ndef f():\n    return 1\n\na b"
    )


def test_headings_and_lines_of_a_page_are_known() -> None:
    page = text_of_html(PAGE)
    lines = page.text.split("\n")
    assert [(lines[section.line - 1], section.level) for section in page.sections] == [
        ("Head & shoulders", 1),
        ("Code", 2),
    ]
    assert len(page.source_lines) == len(lines)
    source = PAGE.split("\n")
    for line, number in zip(lines, page.source_lines, strict=True):
        assert not line or line.split()[0].strip("&") in source[number - 1]


BITS = (
    "<p> </p> <pre> </pre> <div > <h1> </h1> <script> </script> <head> </head> <body> <title> "
    "</title> text &amp; & <!-- --> <br/> <svg/> </svg> <td> </td> <li> <![ ]> </"
)


@given(st.lists(st.sampled_from([*BITS.split(" "), " ", "\n"]), max_size=40))
def test_no_page_breaks_the_reader(parts: list[str]) -> None:
    page = text_of_html("".join(parts))
    assert len(page.source_lines) == (page.text.count("\n") + 1 if page.source_lines else 0)
    assert all(1 <= section.line <= len(page.source_lines) for section in page.sections)
    assert page.source_lines == sorted(page.source_lines)
