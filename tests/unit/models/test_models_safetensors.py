"""safetensors files: what is written is read, and nothing broken is believed."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from emberd.errors import ModelInvalidError
from emberd.models.safetensors import SafeTensors, write_safetensors

SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, max_side=5)
TENSORS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(
        lambda name: name != "__metadata__"
    ),
    SHAPES.flatmap(lambda shape: arrays.arrays(np.float32, shape)),
    max_size=6,
)
QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_raw(path: Path, header: Any, body: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
    return path


def entry(dtype: str, shape: list[int], begin: int, end: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@QUICK
@given(tensors=TENSORS)
def test_what_is_written_is_read_bit_by_bit(tmp_path: Path, tensors: dict[str, np.ndarray]) -> None:
    path = tmp_path / "t.safetensors"
    write_safetensors(path, {n: t.shape for n, t in tensors.items()}, tensors.__getitem__)
    with SafeTensors(path) as read:
        assert set(read.slots) == set(tensors)
        for name, tensor in tensors.items():
            assert read.floats(name).shape == tensor.shape
            assert read.floats(name).tobytes() == tensor.tobytes()
            assert read.slots[name].offset % 4 == 0


def test_the_same_tensors_give_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    tensors = {name: np.full(3, i, np.float32) for i, name in enumerate("cab")}
    for file, names in (("one", "abc"), ("two", "bca")):
        write_safetensors(tmp_path / file, dict.fromkeys(names, (3,)), tensors.__getitem__)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_half_precision_weights_widen_exactly(tmp_path: Path) -> None:
    values = np.array([0.0, -1.5, 3.140625, 65280.0, 2**-14], np.float32)
    half = values.astype("<f2").tobytes()
    brain = (values.view("<u4") >> 16).astype("<u2").tobytes()
    path = write_raw(
        tmp_path / "half",
        {"__metadata__": {"format": "pt"}, "h": entry("F16", [5], 0, 10)}
        | {"b": entry("BF16", [5], 10, 20)},
        half + brain,
    )
    with SafeTensors(path) as read:
        assert read.floats("h").tolist() == values.astype("<f2").astype("<f4").tolist()
        assert read.floats("b").tolist() == values.tolist()  # chosen to fit in 8 bits


def test_tensors_outlive_the_file(tmp_path: Path) -> None:
    write_safetensors(tmp_path / "t", {"a": (4,)}, lambda _: np.arange(4, dtype=np.float32))
    with SafeTensors(tmp_path / "t") as read:
        values = read.floats("a")
    assert values.sum() == 6


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry("F32", [2], 0, 12)},  # not the size of its shape
        {"a": entry("F32", [2], 4, 12)},  # past the end
        {"a": entry("F32", [2], -4, 4)},
        {"a": entry("F32", [2], 8, 0)},
        {"a": entry("F32", [-2], 0, 8)},
        {"a": entry("F32", [1 << 62, 1 << 62], 0, 8)},
        {"a": {"dtype": "F32", "shape": [2]}},
        {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0]}},
        {"a": 7},
        [],
        b"not json",
        b'{"a": ' + b"[" * 100_000,
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: Any) -> None:
    with pytest.raises(ModelInvalidError, match="not a usable safetensors file"):
        SafeTensors(write_raw(tmp_path / "bad", header, bytes(8)))


def test_a_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"1234567", struct.pack("<Q", 1 << 40) + b"{}"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ModelInvalidError):
            SafeTensors(tmp_path / "bad")


def test_a_missing_or_integer_tensor_is_named(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "t", {"ids": entry("I64", [1], 0, 8)}, bytes(8))
    with SafeTensors(path) as read:
        with pytest.raises(ModelInvalidError, match="'ids' is I64"):
            read.floats("ids")
        with pytest.raises(ModelInvalidError, match="'weight' is missing"):
            read.floats("weight")


def test_a_dtype_that_we_do_not_know_only_matters_when_it_is_read(tmp_path: Path) -> None:
    header = {"odd": entry("F8_E4M3", [8], 0, 8), "a": entry("F32", [2], 0, 8)}
    with SafeTensors(write_raw(tmp_path / "t", header, bytes(8))) as read:
        assert read.floats("a").tolist() == [0.0, 0.0]
        with pytest.raises(ModelInvalidError, match="F8_E4M3"):
            read.floats("odd")


@QUICK
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = tmp_path / "t"
    write_safetensors(path, {"a": (2, 2), "b": (3,)}, lambda name: np.ones(4 if name == "a" else 3))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        with SafeTensors(path) as read:
            for name in read.slots:
                read.floats(name)
    except ModelInvalidError:
        pass
