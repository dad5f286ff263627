"""Where vectors go: lines of numbers or of JSON on stdout, or a `.npy` file.

Numbers are printed in the fewest digits that give the same float32 back.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emberd.cli.npy import NpyWriter
from emberd.errors import InvalidParamsError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from emberd.client import EmbedResult

__all__ = ["Write", "json_vector_line", "open_writer", "vector_line"]

Write = Callable[[int, list[str], "EmbedResult"], None]
"""Takes the index of the first text, the texts and their result."""


@contextlib.contextmanager
def open_writer(output: Path | None, *, as_json: bool, with_text: bool) -> Iterator[Write]:
    """What `embed` hands each chunk to. Raises StorageError, and InvalidParamsError where a file
    was to be written and no text came."""
    if output is None:
        yield partial(_print_json, with_text) if as_json else _print
        return
    with NpyWriter(output) as file:
        yield lambda _start, _texts, result: file.append(_with_nan(result))
        if not file.count:
            raise InvalidParamsError(f"No texts: {output} was not written.")


def _with_nan(result: EmbedResult) -> NDArray[np.float32]:
    """The vectors, NaN where a text failed: zeros would pass for a vector."""
    vectors = result.vectors
    vectors[[error["index"] for error in result.errors]] = math.nan
    return vectors


def _print(_start: int, _texts: list[str], result: EmbedResult) -> None:
    click.echo("\n".join(vector_line(vector) for vector in _with_nan(result)))


def _print_json(with_text: bool, start: int, texts: list[str], result: EmbedResult) -> None:
    truncated = set(result.truncated)
    failed = {error["index"]: error for error in result.errors}
    lines = []
    for row, text in enumerate(texts):
        fields: dict[str, Any] = {"index": start + row}
        if with_text:
            fields["text"] = text
        if row in truncated:
            fields["truncated"] = True
        if error := failed.get(row):
            fields["error"] = {"code": error["code"], "message": error["message"]}
        lines.append(json_vector_line(None if error else result.vectors[row], fields))
    click.echo("\n".join(lines))


def _numbers(vector: NDArray[np.generic], separator: str) -> str:
    # str() of a NumPy float32 is its shortest form; tolist() would widen it to 17 digits.
    return separator.join(map(str, vector))


def vector_line(vector: NDArray[np.generic]) -> str:
    """Space-separated; reading the numbers as the vector's dtype gives equal bits."""
    return _numbers(vector, " ")


def json_vector_line(vector: NDArray[np.generic] | None, fields: dict[str, Any]) -> str:
    """One JSON object: `fields`, then `vector` (null where a text failed)."""
    head = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    if vector is None or not all(map(math.isfinite, vector)):
        body = "null"
    else:
        body = f"[{_numbers(vector, ',')}]"
    return f'{head[:-1]}{"," if fields else ""}"vector":{body}}}'
