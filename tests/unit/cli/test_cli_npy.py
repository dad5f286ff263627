"""The file is what numpy would have written, or it is not there."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.cli.npy import NpyWriter, npy_header
from emberd.errors import StorageError


@given(st.integers(0, 10**15), st.integers(0, 10**6), st.sampled_from(["<f4", "<f2", "|i1"]))
def test_the_header_always_fills_its_room(count: int, dim: int, descr: str) -> None:
    header = npy_header(count, dim, descr)
    assert len(header) == 128
    assert header.endswith(b"\n")


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int8])
def test_numpy_reads_back_the_rows_in_order(tmp_path: Path, dtype: type) -> None:
    rows = np.arange(30).reshape(10, 3).astype(dtype)
    with NpyWriter(tmp_path / "v.npy") as writer:
        for chunk in np.split(rows, [1, 4, 4, 9]):
            writer.append(chunk)
    found = np.load(tmp_path / "v.npy")
    assert found.dtype == rows.dtype
    assert np.array_equal(found, rows)


def test_the_rows_can_be_mapped_instead_of_read(tmp_path: Path) -> None:
    with NpyWriter(tmp_path / "v.npy") as writer:
        writer.append(np.ones((2, 3), np.float32))
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    assert mapped.shape == (2, 3)
    mapped._mmap.close()


def test_an_interruption_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "v.npy"
    path.write_bytes(b"old")

    def write_half() -> None:
        with NpyWriter(path) as writer:
            writer.append(np.ones((2, 3), np.float32))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_stands_at_the_path_before_the_end(tmp_path: Path) -> None:
    with NpyWriter(tmp_path / "v.npy") as writer:
        writer.append(np.ones((2, 3), np.float32))
        assert not (tmp_path / "v.npy").exists()
    assert (tmp_path / "v.npy").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"Cannot write .*v\.npy: No such file"):
        NpyWriter(tmp_path / "missing" / "v.npy").__enter__()


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))  # the kernel refuses more
    try:
        with pytest.raises(StorageError, match="Cannot write"), NpyWriter(tmp_path / "v") as out:
            out.append(np.ones((4096, 3), np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert list(tmp_path.iterdir()) == []
