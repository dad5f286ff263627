"""`emberd tokens`: how many tokens texts have."""

from __future__ import annotations

import click

from emberd.cli.context import App, Command, pass_app
from emberd.cli.embedding import CHUNK_CHARS, CHUNK_TEXTS
from emberd.cli.options import model_option, text_options
from emberd.cli.printing import plural, print_json
from emberd.cli.pulling import ensure_model
from emberd.cli.texts import Separator, TextSource, in_chunks

__all__ = ["command"]


@click.command(cls=Command, name="tokens")
@text_options
@model_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a text.")
@pass_app
def command(
    app: App,
    texts: tuple[str, ...],
    files: tuple[str, ...],
    separator: Separator,
    model: str | None,
    as_json: bool,
) -> None:
    """Count the model's tokens in texts.

    Prints one number a text, special tokens included, before any truncation: a text with more
    than the model's window is cut by `embed`.

    \b
    Examples:
      $ emberd tokens "hello, world"
      $ emberd tokens --file book.txt --separator paragraph | sort -n | tail -1
    """
    source = TextSource.from_command(texts, files, separator)
    ensure_model(app, model)
    seen = total = 0
    with app.client(autostart=True) as client:
        for chunk in in_chunks(source.texts(), most=CHUNK_TEXTS, most_chars=CHUNK_CHARS):
            counts = [int(count) for count in client.count_tokens(chunk, model=model)]
            for index, count in enumerate(counts, start=seen):
                if as_json:
                    print_json({"index": index, "tokens": count})
                else:
                    click.echo(str(count))
            seen, total = seen + len(chunk), total + sum(counts)
    app.say(f"{plural(seen, 'text')}, {plural(total, 'token')}")
