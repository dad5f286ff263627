"""Rows of ids as the arrays that a session takes."""

from __future__ import annotations

import subprocess
import sys
from array import array

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emberd.engine.session import padded_rows
from emberd.engine.text import Encoded


def encoded(ids: list[int]) -> Encoded:
    return Encoded(array("i", ids).tobytes(), len(ids), truncated=False)


@given(st.lists(st.lists(st.integers(0, 1 << 30), min_size=1, max_size=9), min_size=1))
def test_rows_are_padded_at_their_end_and_masked(rows: list[list[int]]) -> None:
    width = max(map(len, rows))
    ids, mask = padded_rows([encoded(row) for row in rows], width, pad_id=5)
    assert ids.tolist() == [row + [5] * (width - len(row)) for row in rows]
    assert mask.tolist() == [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    assert (ids.dtype, mask.dtype) == (np.int64, np.int64)


def test_running_a_model_does_not_need_what_builds_models() -> None:
    code = "import emberd.engine.session, sys; print('onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
