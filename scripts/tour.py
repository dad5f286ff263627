"""A tour of emberd over its public client: embed a folder's paragraphs, twice, then index its
files and ask.

`scripts/run` calls this once the daemon runs. It is also an example of a small program on emberd.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import emberd
from emberd.errors import CollectionNotFoundError, EmberdError
from emberd.ingest import IndexOptions, Progress, index_files

ROOT = Path(__file__).resolve().parent.parent
OWN_DOCUMENTATION = ("README.md", "*/README.md", "CHANGELOG.md")
SUFFIXES = {".md", ".txt", ".rst"}
QUESTION = "How do I stop the daemon?"
COLLECTION = "emberd-tour"
CHUNK = 128
ANSWERS = 3
FEWEST_WORDS = 4
ITEM = re.compile(r"[-*+|] ?|\d+\. ")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph and where it stands."""

    text: str
    place: str


def main() -> int:
    """Run the tour; 0 when the second pass came from the cache as a whole."""
    options = parse_arguments()
    paragraphs = list(read_paragraphs(options.folder, options.separator))
    if not paragraphs:
        print(f"error: no paragraphs in the text files of {options.folder}", file=sys.stderr)
        return 2
    where = options.folder or "this repository's documentation"
    print(f"\n{bold('Embedding')} {len(paragraphs):,} paragraphs of {where}")
    try:
        with emberd.Client(name="tour") as client:
            embed_all(client, paragraphs, "first pass")
            computed = embed_all(client, paragraphs, "second pass")
            index(client, options.folder)
            answer(client, options.ask)
    except EmberdError as exc:
        print(f"error: {exc.code}: {exc}", file=sys.stderr)
        return 1
    say_what_next()
    if computed:
        print(f"error: the second pass computed {computed} texts anew", file=sys.stderr)
    return 1 if computed else 0


def parse_arguments() -> argparse.Namespace:
    """FOLDER, --ask and --separator."""
    parser = argparse.ArgumentParser(prog="scripts/run", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="default: the documentation here")
    parser.add_argument("--ask", default=QUESTION, metavar="QUESTION")
    parser.add_argument("--separator", choices=("paragraph", "line"), default="paragraph")
    options = parser.parse_args()
    if options.folder is not None and not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder")
    return options


def read_paragraphs(folder: Path | None, separator: str) -> Iterator[Paragraph]:
    """Every paragraph (or line) of the folder's text files, in the order of their names."""
    base = folder or ROOT
    for file in sorted(text_files(folder)):
        text = file.read_text("utf-8", "replace")
        for line_number, paragraph in split(text, separator):
            yield Paragraph(paragraph, f"{file.relative_to(base)}:{line_number}")


def text_files(folder: Path | None) -> Iterator[Path]:
    """Text files below `folder`, hidden folders left out; without one, our own documentation."""
    if folder is None:
        for pattern in OWN_DOCUMENTATION:
            yield from ROOT.glob(pattern)
        return
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in files if Path(name).suffix in SUFFIXES)


def split(text: str, separator: str) -> Iterator[tuple[int, str]]:
    """`(line number, text)` of each paragraph or line of a text or Markdown file.

    List items and table rows stand alone; headings, code blocks and bits of a few words are left
    out.
    """
    start, lines, is_code = 1, list[str](), False
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        words = line.strip()
        is_fence = words.startswith("```")
        is_code ^= is_fence
        is_text = bool(words) and not (is_code or is_fence or words.startswith("#"))
        is_first = separator == "line" or bool(ITEM.match(words))
        if lines and (is_first or not is_text):
            yield from worth_keeping(start, " ".join(lines))
            lines = []
        if is_text:
            start = start if lines else number
            lines.append(words)


def worth_keeping(number: int, text: str) -> Iterator[tuple[int, str]]:
    """The paragraph without table bars, unless next to nothing is left."""
    if text.startswith("|"):
        text = ": ".join(cell.strip() for cell in text.strip("|").split("|"))
    if len(re.findall(r"\w+", text)) >= FEWEST_WORDS:
        yield number, text


def embed_all(client: emberd.Client, paragraphs: Sequence[Paragraph], title: str) -> int:
    """Embed every paragraph; how many had to be computed. Draws the progress."""
    computed, hits = 0, 0
    started = time.perf_counter()
    for begin in range(0, len(paragraphs), CHUNK):
        texts = [paragraph.text for paragraph in paragraphs[begin : begin + CHUNK]]
        result = client.embed_detailed(texts)
        computed += result.computed
        hits += sum(result.hits.values())
        done = begin + len(texts)
        rate = done / (time.perf_counter() - started)
        words = f"{rate:>9,.0f}/s  {hits / done:>4.0%} from cache"
        draw_progress(title, done / len(paragraphs), words)
    return computed


def index(client: emberd.Client, folder: Path | None) -> None:
    """Index the same files, cut into passages, into a collection of the tour's own."""
    with suppress(CollectionNotFoundError):
        client.collections_drop(COLLECTION)
    print(f"\n{bold('Indexing')} the same files into the collection {COLLECTION}")
    files = [folder] if folder else [file for each in OWN_DOCUMENTATION for file in ROOT.glob(each)]
    options = IndexOptions(globs=[f"*{suffix}" for suffix in SUFFIXES])
    index_files(client, COLLECTION, files, options, on_progress=draw_indexing)


def draw_indexing(progress: Progress) -> None:
    """One line, redrawn while files are read, cut, embedded and written."""
    if progress.phase == "indexing" and progress.files_total:
        share = progress.files / progress.files_total
        draw_progress("passages", share, f"{progress.files:,} files, {progress.chunks:,} passages")


def answer(client: emberd.Client, question: str) -> None:
    """Print the passages that answer `question` best, and where they stand."""
    print(f"\n{bold('Asked')} {question}")
    width = min(shutil.get_terminal_size().columns, 100) - 8
    for hit in client.search(COLLECTION, question, k=ANSWERS):
        place = "{root}/{path}:{line}".format_map(hit.metadata)
        print(f"\n  {green(f'{hit.score:.2f}')}  {dim(os.path.relpath(place))}")
        lines = textwrap.wrap(hit.text, width, max_lines=4, placeholder=" ...")
        print(textwrap.indent("\n".join(lines), " " * 8))


def say_what_next() -> None:
    """The commands to type next."""
    emberd_command = Path(sys.executable).with_name("emberd")
    commands = (
        (f'search {COLLECTION} "..."', "ask something else"),
        ("index ~/notes -c notes", "search files of yours"),
        ("top", "the dashboard"),
        ('embed "hello, world"', "one vector"),
        ("stat", "a line of figures a second"),
        ("down", "stop the daemon"),
    )
    print(f"\n{bold('Next')}  (the daemon goes on running)")
    for words, what in commands:
        print(f"  {emberd_command} {words:<26} {dim(what)}")
    print()


def draw_progress(title: str, share: float, words: str) -> None:
    """A line with a bar: redrawn in a terminal, printed once where it is none."""
    end = "\n" if share == 1 else "\r"
    if end == "\n" or sys.stdout.isatty():
        print(f"  {title:<12} {draw_bar(share)} {words}", end=end, flush=True)


def draw_bar(share: float, width: int = 28) -> str:
    """A bar, in ASCII where the terminal cannot show more."""
    is_ascii = "utf" not in (sys.stdout.encoding or "").lower()
    full, rest = ("#", ".") if is_ascii else ("━", "╌")
    filled = round(share * width)
    return full * filled + rest * (width - filled)


def styled(text: str, code: str) -> str:
    """`text` in an SGR style, where stdout is a terminal and NO_COLOR is not set."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def bold(text: str) -> str:
    """For titles."""
    return styled(text, "1")


def green(text: str) -> str:
    """For scores."""
    return styled(text, "32")


def dim(text: str) -> str:
    """For remarks."""
    return styled(text, "2")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
