"""Choosing how the input of linear layers becomes uint8: numbers in, numbers out.

A site has one scale and one zero point for all channels, so a channel with large values takes the
steps from all others. Smoothing (Xiao et al. 2022, SmoothQuant) divides that difficulty between
input and weights: the input's channels are multiplied and the weights divided by the same numbers.
How far it goes is searched for the least error of the layer's output. The range covers all values
that were seen: to clip the largest gains nothing in the mean and loses the texts that have them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from emberd.models.bert.int8.rounding import FloatArray, quantise_weight

__all__ = ["Operand", "Seen", "choose_operand", "dequantised"]

# 0 leaves the input as it is, 1 makes all of its channels equally wide.
_STRENGTHS = (0.5, 0.65, 0.8)
_STEPS = 255
_SEARCHED_ROWS = 1024
_LEAST_SCALE = 1e-30  # below, float32 cannot hold it exactly enough, and the input is as good as 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a site's input was like: some rows (n, channels), and the least and the largest value
    of each channel (channels,) among all rows."""

    rows: FloatArray
    low: FloatArray
    high: FloatArray

    @property
    def middle(self) -> FloatArray:
        return (self.low + self.high) / np.float32(2)

    @property
    def width(self) -> FloatArray:
        """The largest magnitude of each channel."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    def moved(self, by: FloatArray) -> Seen:
        """The same with `by` (channels,) taken from every row."""
        return Seen(self.rows - by, self.low - by, self.high - by)

    def times(self, factors: FloatArray | np.float32) -> Seen:
        """The same multiplied channel by channel with positive factors."""
        return Seen(self.rows * factors, self.low * factors, self.high * factors)


@dataclass(frozen=True, slots=True)
class Operand:
    """A site's input as uint8: `round(x * smoothing / scale) + zero_point`, clipped to 0..255."""

    scale: float
    zero_point: int
    smoothing: FloatArray | None = None
    """(channels,); None is no smoothing."""


def choose_operand(seen: Seen, weight: FloatArray, *, smooth: bool) -> Operand:
    """The operand whose product with `weight` (out, channels) has the least mean squared error.

    The error is taken a channel at a time, as if those of different channels did not know of each
    other.
    """
    few = Seen(seen.rows[:: -(-len(seen.rows) // _SEARCHED_ROWS)], seen.low, seen.high)
    return min(_candidates(few, weight, smooth=smooth), key=lambda found: found[0])[1]


def dequantised(rows: FloatArray, operand: Operand) -> FloatArray:
    """What is left of `rows` (n, channels), smoothing included, after quantisation."""
    smoothed = rows if operand.smoothing is None else rows * operand.smoothing
    steps = np.rint(smoothed / np.float32(operand.scale)) + np.float32(operand.zero_point)
    kept = np.clip(steps, 0, _STEPS) - np.float32(operand.zero_point)
    left: FloatArray = kept * np.float32(operand.scale)
    return left


def _candidates(seen: Seen, weight: FloatArray, *, smooth: bool) -> Iterator[tuple[float, Operand]]:
    for smoothing in _smoothings(seen, weight) if smooth else (None,):
        factors = np.float32(1) if smoothing is None else smoothing
        smoothed, divided = seen.times(factors), weight / factors
        whole, scale = quantise_weight(divided)
        energy = np.square(divided).sum(axis=0)
        lost = np.square(whole * scale[:, None] - divided).sum(axis=0)
        weight_error = float((np.square(smoothed.rows).mean(axis=0) * lost).sum())
        low, high = min(0.0, float(smoothed.low.min())), max(0.0, float(smoothed.high.max()))
        operand = _spanning(low, high, smoothing)
        error = np.square(dequantised(seen.rows, operand) - smoothed.rows).mean(axis=0)
        yield weight_error + float((error * energy).sum()), operand


def _smoothings(seen: Seen, weight: FloatArray) -> Iterator[FloatArray]:
    """Of several strengths; a channel that is all zeros counts as a very narrow one."""
    widths, weights = (
        np.maximum(found, found.max() * 1e-4 + 1e-12).astype(np.float64)
        for found in (seen.width, np.abs(weight).max(axis=0))
    )
    for strength in _STRENGTHS:
        factors = weights ** (1 - strength) / widths**strength
        yield (factors / np.exp(np.log(factors).mean())).astype(np.float32)


def _spanning(low: float, high: float, smoothing: FloatArray | None) -> Operand:
    """0 itself is a step, so nothing is added to a zero."""
    scale = (high - low) / _STEPS
    if scale < _LEAST_SCALE:
        scale = 1.0
    return Operand(float(np.float32(scale)), round(-low / scale), smoothing)
