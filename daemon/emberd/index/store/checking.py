"""A check of what is stored, by the writer: it finds, mends, and says both."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from emberd.index.store.inspection import inspect_content
from emberd.index.store.mending import mend_content
from emberd.index.store.opening import alive_rows, wanted_crcs
from emberd.index.store.transaction import Transaction

__all__ = ["Checked", "check_content", "check_vectors"]

_BLOCK_ROWS = 4_096


@dataclass(slots=True)
class Checked:
    found: list[str] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)


def check_content(transaction: Transaction, folder: Path) -> Checked:
    """Documents, full text, filters' rows and counters. Raises sqlite3.Error, OSError."""
    findings = inspect_content(transaction.connection)
    mended = mend_content(transaction, findings, folder)
    return Checked(findings.described(), mended)


def check_vectors(transaction: Transaction) -> Checked:
    """Every vector that searches use, read again; a wrong one is used no more."""
    view, layout = transaction.view, transaction.layout
    good = np.empty(len(view.rows), np.bool)
    for start in range(0, len(good), _BLOCK_ROWS):
        block = view.rows[start : start + _BLOCK_ROWS]
        good[start : start + len(block)] = layout.crcs_of(block) == block["crc"]
    rows = view.rows["label"].copy(), view.rows["crc"].copy(), good
    _, alive = alive_rows(rows, wanted_crcs(transaction.connection))
    wrong = view.labels[view.alive & ~alive]
    if not len(wrong):
        return Checked()
    transaction.hide(wrong.tolist())
    return Checked(
        [f"{len(wrong)} vectors differ from what was written"],
        ["their documents are left out of searches until the vectors are computed again"],
    )
