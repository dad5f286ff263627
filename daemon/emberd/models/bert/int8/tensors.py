"""The tensors of an int8 BERT, from its float32 weights and the inputs that its layers saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from emberd.models.bert.config import BertConfig
from emberd.models.bert.int8.ranges import Operand, Seen, choose_operand, dequantised
from emberd.models.bert.int8.rounding import FloatArray, error_factor, rounded_weight
from emberd.models.bert.weights import EMBEDDINGS, layer_prefix
from emberd.models.safetensors import SafeTensors, write_safetensors

__all__ = ["write_int8_weights"]

# Channels of the wide layer's input. Mean cosine of the default model: 0.9986 without any, 0.9993
# with 16, 0.9994 with 48, for 2% of the time.
_OUTLIERS = 48
_TABLES = tuple(
    f"{EMBEDDINGS}.{kind}_embeddings.weight" for kind in ("word", "position", "token_type")
)
_CODES = {"f": "F32", "i": "I8", "u": "U8"}


def write_int8_weights(
    weights: SafeTensors,
    config: BertConfig,
    samples: Mapping[str, Seen],
    target: Path,
    on_layer: Callable[[int], None],
) -> None:
    """Write everything that the int8 graph multiplies and adds to `target`.

    `samples` tells of the float32 inputs of each site (see `build_tapped_graph`). `on_layer` hears
    how many layers are done, and may raise.
    """
    made = _Tensors(weights, config, samples).make(on_layer)
    shapes = {name: array.shape for name, array in made.items()}
    shapes |= {name: weights.slots[name].shape for name in _TABLES}  # large, and as they are

    def read(name: str) -> npt.NDArray[Any]:
        return made[name] if name in made else weights.floats(name)

    dtypes = {name: _CODES[array.dtype.kind] for name, array in made.items()}
    write_safetensors(target, shapes, read, dtypes)


class _Tensors:
    """Goes through the encoder in order.

    Each stream is moved so that its channels lie around zero, which costs nothing at run time: a
    norm's bias takes the move, and the biases of the layers that read the stream take it back.
    """

    def __init__(
        self, weights: SafeTensors, config: BertConfig, samples: Mapping[str, Seen]
    ) -> None:
        self.weights = weights
        self.config = config
        self.samples = samples
        self.made: dict[str, npt.NDArray[Any]] = {}

    def make(self, on_layer: Callable[[int], None]) -> dict[str, npt.NDArray[Any]]:
        moved = self.norm(f"{EMBEDDINGS}.LayerNorm", f"{layer_prefix(0)}.attention.self")
        for layer in range(self.config.layers):
            moved = self.layer(layer, moved)
            on_layer(layer + 1)
        return self.made

    def layer(self, layer: int, moved: FloatArray) -> FloatArray:
        prefix = layer_prefix(layer)
        moved = self.attention(f"{prefix}.attention", moved)
        after = f"{layer_prefix(layer + 1)}.attention.self"
        return self.feed_forward(prefix, moved, after if layer + 1 < self.config.layers else None)

    def attention(self, prefix: str, moved: FloatArray) -> FloatArray:
        inside, outside = f"{prefix}.self", f"{prefix}.output"
        query, key, value = (self.floats(f"{inside}.{p}.weight") for p in ("query", "key", "value"))
        out = self.floats(f"{outside}.dense.weight")
        # The weights of attention sum to 1, so the values may be moved like a norm's output, and
        # smoothed by their own layer.
        middle = self.samples[outside].middle
        context = self.samples[outside].moved(middle)
        operand = choose_operand(context, out, smooth=True)
        smoothing = operand.smoothing if operand.smoothing is not None else np.float32(1)
        value = value * np.reshape(smoothing, (-1, 1))
        value_bias = value @ moved - middle * smoothing

        layers = {"query": query, "key": key, "value": value}
        biases = {
            "query": self.floats(f"{inside}.query.bias") + query @ moved,
            "key": None,
            "value": value_bias,
        }
        rows = self.samples[inside].moved(moved)
        taken = choose_operand(rows, np.concatenate(list(layers.values())), smooth=True)
        self.site(inside, taken)
        self.linears(inside, layers, biases, rows.rows, taken)

        self.site(outside, Operand(operand.scale, operand.zero_point))
        moved_value = self.floats(f"{inside}.value.bias") + middle
        out_bias = self.floats(f"{outside}.dense.bias") + out @ moved_value + moved
        self.linears(outside, {"dense": out}, {"dense": out_bias}, context.rows, operand)
        return self.norm(
            f"{outside}.LayerNorm", f"{prefix.removesuffix('.attention')}.intermediate"
        )

    def feed_forward(self, prefix: str, moved: FloatArray, after: str | None) -> FloatArray:
        inside, outside = f"{prefix}.intermediate", f"{prefix}.output"
        inner = self.samples[outside]
        order = np.argsort(-inner.width, kind="stable")
        count = min(_OUTLIERS, len(order) // 4)

        first = self.floats(f"{inside}.dense.weight")[order]
        first_bias = self.floats(f"{inside}.dense.bias")[order] + first @ moved
        rows = self.samples[inside].moved(moved)
        taken = choose_operand(rows, first, smooth=True)
        self.site(inside, taken)
        self.linears(inside, {"dense": first}, {"dense": first_bias}, rows.rows, taken)

        second = self.floats(f"{outside}.dense.weight")[:, order]
        self.made[f"{outside}.dense.outliers"] = second[:, :count].T.copy()
        second[:, :count] = 0
        others = np.where(np.arange(len(order)) < count, np.float32(0), np.float32(1))
        inner = Seen(inner.rows[:, order], inner.low[order], inner.high[order]).times(others)
        taken = choose_operand(inner, second, smooth=False)
        self.site(outside, taken)
        second_bias = self.floats(f"{outside}.dense.bias") + moved
        self.linears(outside, {"dense": second}, {"dense": second_bias}, inner.rows, taken)
        return self.norm(f"{outside}.LayerNorm", after)

    def linears(
        self,
        site: str,
        weights: Mapping[str, FloatArray],
        biases: Mapping[str, FloatArray | None],
        rows: FloatArray,
        operand: Operand,
    ) -> None:
        """The weights (out, in) of the layers at a site as int8. A bias takes the mean error of
        its output: what is left has no direction, and most of it goes in the mean over tokens."""
        kept = dequantised(rows, operand)
        factor = error_factor(kept)
        mean_kept, mean = kept.mean(axis=0, dtype=np.float64), rows.mean(axis=0, dtype=np.float64)
        for part, weight in weights.items():
            name, bias = f"{site}.{part}", biases[part]
            divided = weight if operand.smoothing is None else weight / operand.smoothing
            whole, scale = rounded_weight(divided, factor)
            self.made[f"{name}.weight"] = np.ascontiguousarray(whole.T)
            self.made[f"{name}.scale"] = scale
            if bias is not None:
                error = (whole * scale[:, None].astype(np.float64)) @ mean_kept - weight @ mean
                self.made[f"{name}.bias"] = (bias - error).astype(np.float32)

    def site(self, site: str, operand: Operand) -> None:
        if operand.smoothing is not None:
            self.made[f"{site}.smoothing"] = operand.smoothing
        self.made[f"{site}.scale"] = np.array(operand.scale, np.float32)
        self.made[f"{site}.zero_point"] = np.array(operand.zero_point, np.uint8)

    def norm(self, name: str, reader: str | None) -> FloatArray:
        """The norm, its output moved to the middle of what its reader saw; returns the move."""
        self.made[f"{name}.weight"] = self.floats(f"{name}.weight")
        bias = self.floats(f"{name}.bias")
        moved = np.zeros_like(bias) if reader is None else self.samples[reader].middle
        self.made[f"{name}.bias"] = bias - moved
        return moved

    def floats(self, name: str) -> FloatArray:
        return self.weights.floats(name)
