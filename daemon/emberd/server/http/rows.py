"""Vectors as JSON: numbers or base64, made in blocks so that the event loop is never held.

One call of the encoder holds the interpreter's lock until it returns: 2,048 x 384 numbers at once
are 60 ms in which no other thread runs, on whatever thread it is done. A block is about 1 ms.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

__all__ = ["base64_blocks", "encode_items", "number_blocks", "shortest"]

Vectors: TypeAlias = NDArray[np.float32]

_BLOCK_NUMBERS = 16_384


def number_blocks(vectors: Vectors) -> Iterator[list[list[float]]]:
    """The rows of a (n, dim) array as lists of numbers, some rows at a time."""
    for block in _blocks(vectors):
        yield shortest(block).tolist()


def base64_blocks(vectors: Vectors) -> Iterator[list[str]]:
    """The rows of a (n, dim) array as base64 of little-endian float32, some rows at a time."""
    for block in _blocks(vectors):
        yield [base64.b64encode(row).decode("ascii") for row in block.astype("<f4", copy=False)]


async def encode_items(blocks: Iterable[list[Any]], numbers: int) -> list[bytes]:
    """The items of all blocks as the inside of one JSON array, in parts that follow each other.

    Done on a thread where they hold many `numbers`.
    """
    if numbers <= _BLOCK_NUMBERS:
        return _encode(blocks)
    return await asyncio.to_thread(_encode, blocks)


def shortest(vectors: Vectors) -> NDArray[np.float64]:
    """Doubles that print in at most 9 digits and give back the same float32 when read.

    9 significant digits always identify a float32 (IEEE 754, 5.12.2); printed as doubles, the
    same numbers take 17, and a reply half as much again.
    """
    numbers = vectors.astype(np.float64)
    size = np.abs(numbers)
    exponent = np.floor(np.log10(size, out=np.zeros_like(size), where=size > 0))
    scale = 10.0 ** (8 - exponent)
    rounded: NDArray[np.float64] = np.round(numbers * scale) / scale
    return rounded


def _blocks(vectors: Vectors) -> Iterator[Vectors]:
    rows = max(1, _BLOCK_NUMBERS // max(1, vectors.shape[1]))
    for start in range(0, len(vectors), rows):
        yield vectors[start : start + rows]


def _encode(blocks: Iterable[list[Any]]) -> list[bytes]:
    parts: list[bytes] = []
    for block in blocks:
        inside = msgspec.json.encode(block)[1:-1]
        parts.append(b"," + inside if parts else inside)
    return parts
