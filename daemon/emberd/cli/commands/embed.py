"""`emberd embed`: texts in, vectors out."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.embedding import CHUNK_CHARS, CHUNK_TEXTS, Totals, embed_stream
from emberd.cli.options import model_option, text_options
from emberd.cli.progress import ProgressLine, draw_bar
from emberd.cli.pulling import ensure_model
from emberd.cli.texts import Separator, TextSource, in_chunks
from emberd.cli.vectors_out import Write, open_writer
from emberd.errors import UpstreamUnavailableError, error_from_wire

if TYPE_CHECKING:
    from emberd.client import Client

__all__ = ["command"]

_FAILURES_SHOWN = 5
_RETRIES = 20  # of an overloaded daemon, up to five seconds apart: a bulk run can wait


@click.command(cls=Command, name="embed")
@text_options
@model_option
@click.option("--prompt", metavar="NAME", help="One of the model's prompts (query, passage ...).")
@click.option("--dimensions", type=click.IntRange(min=1), help="Keep only the first N numbers.")
@click.option(
    "--truncate",
    type=click.Choice(["end", "start", "error"]),
    default="end",
    show_default=True,
    help="Which end of a text over the model's window is cut; error refuses it.",
)
@click.option(
    "--dtype",
    type=click.Choice(["f32", "f16", "i8", "bit"]),
    default="f32",
    show_default=True,
    help="How numbers travel; what comes out is float32, of the precision named.",
)
@click.option("--namespace", default="default", show_default=True, help="Whose part of the cache.")
@click.option("--no-cache", is_flag=True, help="Compute everything, and keep nothing.")
@click.option(
    "--priority",
    type=click.Choice(["interactive", "bulk"]),
    help="Default: interactive for a few texts, bulk for many.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.npy",
    help="Write a NumPy file of shape (texts, dim) instead of printing.",
)
@click.option("--with-text", is_flag=True, help="Put each text into its JSON object.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a text.")
@pass_app
def command(
    app: App,
    /,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    separator: Separator,
    model: str | None,
    namespace: str,
    no_cache: bool,
    output: Path | None,
    with_text: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn texts into vectors.

    Texts come from the arguments, from files (a text a line, blank lines left out) or from stdin.
    Each vector is printed as one line of numbers. Large inputs stream: memory stays small, and
    after Ctrl-C the same command goes on where it stopped, since the cache keeps what was done.

    \b
    Examples:
      $ emberd embed "hello, world"
      $ emberd embed --file notes.txt --output notes.npy
      $ emberd embed --file book.txt --separator paragraph --json --with-text
      $ grep -h TODO *.py | emberd embed --json | jq -c .vector
    """
    if output is not None and as_json:
        raise click.UsageError("--output and --json exclude each other.")
    source = TextSource.from_command(texts, files, separator)
    total_bytes = source.size_bytes  # names a file that is not there before anything is started
    ensure_model(app, model)
    run = _Run(app, Totals(), total_bytes)
    with contextlib.ExitStack() as stack:
        line = stack.enter_context(ProgressLine(is_quiet=app.is_quiet))
        write = stack.enter_context(open_writer(output, as_json=as_json, with_text=with_text))
        # No timeout: a chunk waits behind the others, and how long that takes is the machine's.
        client = stack.enter_context(
            app.client(autostart=True, namespace=namespace, timeout_s=None, retries=_RETRIES)
        )
        _warm_up(client)
        embed = partial(
            client.embed_detailed,
            model=model,
            partial=True,
            use_cache=not no_cache,
            **options,
        )
        try:
            run.go(source, embed, write, line)
        except KeyboardInterrupt:
            line.erase()
            run.say_interrupted(is_kept=not no_cache)
            raise
    run.say_summary()
    run.raise_failures()


def _warm_up(client: Client) -> None:
    """Connect (the daemon may have to be started) and import NumPy before the clock runs."""
    import numpy as np  # noqa: F401, PLC0415  # not for `--help`

    client.hello()


@dataclass
class _Run:
    app: App
    totals: Totals
    total_bytes: int | None
    done_bytes: int = 0

    def go(self, source: TextSource, embed: Any, write: Write, line: ProgressLine) -> None:
        self.totals.started = time.monotonic()
        line.show(partial(self._progress, line.is_ascii))
        chunks = in_chunks(source.texts(), most=CHUNK_TEXTS, most_chars=CHUNK_CHARS)
        for texts, result in embed_stream(embed, chunks):
            line.erase()
            if result.instead_of:  # the output does not say which model made it
                raise UpstreamUnavailableError(
                    f"{result.instead_of} cannot be reached. To have the texts embedded by "
                    f"{result.model}, add --model {result.model}."
                )
            write(self.totals.texts, texts, result)
            self.totals.add(len(texts), result)
            self.done_bytes += sum(len(text.encode()) + 1 for text in texts)
            line.show(partial(self._progress, line.is_ascii))

    def _progress(self, is_ascii: bool) -> str:
        text = self.totals.progress(self._elapsed_s())
        if not self.total_bytes:
            return text
        share = min(self.done_bytes / self.total_bytes, 1.0)
        return f"{draw_bar(share, is_ascii=is_ascii)} {share:4.0%}  {text}"

    def _elapsed_s(self) -> float:
        return time.monotonic() - self.totals.started

    def say_summary(self) -> None:
        self.app.say(self.totals.summary(self._elapsed_s()))

    def say_interrupted(self, *, is_kept: bool) -> None:
        done = f"Interrupted after {self.totals.texts:,} texts."
        kept = "The cache keeps what was computed: the same command goes on from there."
        self.app.say(f"{done} {kept if is_kept else 'Nothing was kept (--no-cache).'}")

    def raise_failures(self) -> None:
        """Exit code 1 with the first failures named, after all that worked was written."""
        failures = self.totals.failures
        if not failures:
            return
        for failure in failures[:_FAILURES_SHOWN]:
            self.app.say(f"text {failure['index']}: {failure['code']}: {failure['message']}")
        first = error_from_wire(failures[0])
        raise type(first)(
            f"{len(failures):,} of {self.totals.texts:,} texts failed, the first at index "
            f"{failures[0]['index']}: {first.message}",
            details={"indices": [failure["index"] for failure in failures[:1000]]},
        )
