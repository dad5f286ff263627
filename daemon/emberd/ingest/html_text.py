"""The readable text of an HTML page, with the source line of each of its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Final

from emberd.ingest.outline import Section

__all__ = ["PageText", "text_of_html"]


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


_UNSEEN: Final = _tags(
    "audio canvas head iframe math noscript object script select style svg template video"
)
_PARAGRAPHS: Final = _tags(
    "address article aside blockquote body details dialog div dl figure footer form h1 h2 h3 h4 "
    "h5 h6 header hr main nav ol p pre section table ul"
)
_LINES: Final = _tags("br caption dd dt figcaption legend li option summary tr")
_CELLS: Final = _tags("td th")
_SPACE: Final = re.compile(r"\s+")


@dataclass(slots=True)
class PageText:
    """What a reader of the page sees."""

    text: str
    title: str
    sections: list[Section]
    """Headings; their lines are those of `text`."""
    source_lines: list[int] = field(default_factory=list)
    """For each line of `text`, where it stands in the file."""


def text_of_html(html: str) -> PageText:
    """Blocks become paragraphs, headings sections; scripts, styles and pictures are left out.

    Never raises: a browser reads broken pages too.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.page()


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._sources: list[int] = []
        self._line: list[str] = []
        self._line_source = 1
        self._unseen: list[str] = []
        self._verbatim = 0
        self._heading = 0
        self._sections: list[Section] = []
        self._title: list[str] = []
        self._is_title = False

    def page(self) -> PageText:
        self._end_line()
        while self._lines and not self._lines[-1]:
            self._lines.pop()
            self._sources.pop()
        title = _SPACE.sub(" ", "".join(self._title)).strip()
        return PageText("\n".join(self._lines), title, self._sections, self._sources)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._is_title = True
        elif tag in _UNSEEN:
            self._unseen.append(tag)
        elif tag == "body":
            self._unseen.clear()  # a head that nobody closed
        if not self._unseen:
            self._begin_block(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._is_title = False
        elif tag in self._unseen:
            while self._unseen.pop() != tag:
                pass
        elif not self._unseen:
            self._end_block(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _UNSEEN and not self._unseen:
            self._begin_block(tag)

    def handle_data(self, data: str) -> None:
        if self._is_title and (not self._unseen or self._unseen[-1] == "head"):
            self._title.append(data)
        elif not self._unseen:
            self._add(data)

    def parse_html_declaration(self, i: int) -> int:
        try:
            return super().parse_html_declaration(i)
        except AssertionError:  # of `<![` and what follows; newer Pythons read it as a comment
            return self.parse_bogus_comment(i)

    def _begin_block(self, tag: str) -> None:
        if tag in _PARAGRAPHS or tag in _LINES:
            self._break(tag)
        if tag == "pre":
            self._verbatim += 1
        if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":
            self._heading = int(tag[1])

    def _end_block(self, tag: str) -> None:
        if tag in _CELLS and self._line:
            self._line.append(" ")
        if tag in _PARAGRAPHS or tag in _LINES:
            self._break(tag)
        if tag == "pre":
            self._verbatim = max(0, self._verbatim - 1)

    def _break(self, tag: str) -> None:
        self._end_line()
        if tag in _PARAGRAPHS and self._lines and self._lines[-1]:
            self._put("", self.getpos()[0])

    def _add(self, data: str) -> None:
        if not self._verbatim:
            self._extend(_SPACE.sub(" ", data), self.getpos()[0])
            return
        first, *others = data.split("\n")
        self._extend(first, self.getpos()[0])
        for offset, line in enumerate(others, start=1):
            self._end_line(keeps_empty=True)
            self._extend(line, self.getpos()[0] + offset)

    def _extend(self, words: str, source: int) -> None:
        if words.strip() and not "".join(self._line).strip():
            self._line_source = source
        self._line.append(words)

    def _end_line(self, *, keeps_empty: bool = False) -> None:
        joined = "".join(self._line)
        line = joined.rstrip() if self._verbatim else _SPACE.sub(" ", joined).strip()
        self._line.clear()
        if not line and not (keeps_empty and self._lines):
            return
        if line and self._heading:
            self._sections.append(Section(len(self._lines) + 1, self._heading, line.strip()))
            self._heading = 0
        self._put(line, self._line_source)

    def _put(self, line: str, source: int) -> None:
        self._lines.append(line)
        self._sources.append(source)
