"""Passages: they fit, they lose nothing, and the same text gives the same ones."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberd.ingest.chunks import Recipe, chunk_id, chunks_of
from emberd.ingest.passages import Passage, passages
from emberd.ingest.reading import FileText
from emberd.ingest.walk import FoundFile

TEXTS = st.text(
    st.one_of(st.sampled_from("ab c\n\n\t.#`- "), st.characters(blacklist_categories=["Cs"])),
    max_size=1_500,
)


def count_words(texts: list[str]) -> list[int]:
    """A tokenizer of words and marks; like any, it adds two tokens and makes none of nothing."""
    marks = [sum(not (mark.isalnum() or mark.isspace()) for mark in text) for text in texts]
    return [2 + len(text.split()) + more for text, more in zip(texts, marks, strict=True)]


def count_bytes(texts: list[str]) -> list[int]:
    return [2 + len(text.encode()) for text in texts]


@pytest.mark.parametrize("is_markdown", [True, False], ids=["markdown", "plain"])
@pytest.mark.parametrize("count", [count_words, count_bytes])
@settings(deadline=None)
@given(text=TEXTS, tokens=st.integers(16, 80))
def test_passages_fit_and_hold_everything_but_white_space(
    text: str, tokens: int, is_markdown: bool, count: object
) -> None:
    text = text.replace("\r", "\n")
    found = passages(text, tokens=tokens, is_markdown=is_markdown, count=count)  # type: ignore[arg-type]
    kept = "".join("".join(passage.text.split()) for passage in found)
    assert kept == "".join(text.split())
    for passage in found:
        assert count([passage.text])[0] <= tokens  # type: ignore[operator]
        assert passage.text == passage.text.rstrip()
    assert found == passages(text, tokens=tokens, is_markdown=is_markdown, count=count)  # type: ignore[arg-type]


@settings(deadline=None)
@given(TEXTS)
def test_a_passage_knows_its_first_line(text: str) -> None:
    text = text.replace("\r", "\n")
    lines = text.split("\n")
    for passage in passages(text, tokens=24, is_markdown=False, count=count_words):
        first = passage.text.split("\n")[0]
        assert first in lines[passage.line - 1]


def test_a_short_text_is_one_passage_and_needs_no_counting() -> None:
    def refuse(texts: list[str]) -> list[int]:
        raise AssertionError(texts)

    found = passages("\n\n  short text\n", tokens=64, is_markdown=True, count=refuse)
    assert found == [Passage("  short text", 3)]


def test_markdown_is_cut_at_its_headings() -> None:
    section = "word " * 20
    text = "\n\n".join(f"## Part {number}\n\n{section.strip()}" for number in range(6))
    found = passages(text, tokens=60, is_markdown=True, count=count_words)
    assert all(passage.text.startswith("## Part") for passage in found)


def test_an_uneven_text_is_cut_again_where_it_is_dense() -> None:
    text = "plain words " * 400 + "\n\n" + "0x1f,0x2e;" * 200
    found = passages(text, tokens=64, is_markdown=False, count=count_words)
    assert max(count_words([passage.text for passage in found])) <= 64


# -- chunks


def chunks(path: str, text: str, tokens: int = 64) -> list[tuple[str, str, dict[str, object]]]:
    file = FoundFile("/home/me/docs", path, 1, 1_700_000_000)
    content = FileText(text, "5" * 64, "utf-8", len(text))
    return [
        (chunk.id, chunk.text, chunk.metadata)
        for chunk in chunks_of(file, content, Recipe(tokens), count_words)
    ]


def test_a_chunk_says_where_it_is_from() -> None:
    ((name, text, metadata),) = chunks("sub/Guide.md", "# Guide\n\n## Speed\n\nGo faster.\n")
    assert name == "/home/me/docs/sub/Guide.md#0"
    assert text == "# Guide\n\n## Speed\n\nGo faster."
    assert metadata == {
        "root": "/home/me/docs",
        "path": "sub/Guide.md",
        "lang": "markdown",
        "ext": "md",
        "line": 1,
        "title": "Guide",
        "heading": "Guide",
        "mtime": "2023-11-14T22:13:20Z",
        "sha256": "5" * 64,
        "cut": "1/64/1",
    }


def test_the_chunks_of_code_name_their_definitions() -> None:
    text = "class Daemon:\n" + "".join(
        f"    def method_{number}(self) -> int:\n        return {'x + ' * 10}{number}\n\n"
        for number in range(4)
    )
    found = chunks("daemon.py", text, tokens=80)
    assert len(found) > 2
    assert found[-1][2]["heading"] == "Daemon > method_3"
    assert found[-1][1].startswith("    def method_3")  # with the indentation that it has
    assert {metadata["lang"] for *_, metadata in found} == {"python"}


def test_the_chunks_of_a_page_name_lines_of_its_source() -> None:
    page = "<title>T</title>\n<body>\n\n<h1>Head</h1>\n<p>" + "words of it " * 60 + "\n"
    found = chunks("page.html", page)
    assert found[0][2]["line"] == 4
    assert found[-1][2]["line"] == 5
    assert found[0][2]["title"] == "T"
    assert found[-1][2]["heading"] == "Head"


def test_another_charset_is_told() -> None:
    file = FoundFile("/d", "a.txt")
    content = FileText("text", "5" * 64, "windows-1252", 4)
    (chunk,) = chunks_of(file, content, Recipe(64), count_words)
    assert chunk.metadata["charset"] == "windows-1252"


@settings(deadline=None, max_examples=50)
@given(TEXTS.filter(str.strip), st.text("ab", min_size=1, max_size=40))
def test_ids_are_numbered_from_zero_and_stable(text: str, added: str) -> None:
    text = text.replace("\r", "\n")
    found = [name for name, *_ in chunks("a.txt", text, tokens=24)]
    assert found == [chunk_id("/home/me/docs/a.txt", index) for index in range(len(found))]
    more = [name for name, *_ in chunks("a.txt", f"{text}\n\n{added}", tokens=24)]
    assert set(found) & set(more)


@pytest.mark.parametrize(
    ("window", "wanted", "tokens"), [(256, 256, 248), (512, 256, 256), (0, 256, 256), (20, 64, 16)]
)
def test_chunks_leave_room_for_a_prompt_in_the_models_window(
    window: int, wanted: int, tokens: int
) -> None:
    assert Recipe.within(window, wanted) == Recipe(tokens)
