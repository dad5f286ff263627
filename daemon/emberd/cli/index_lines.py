"""How a run of `emberd index` looks: its progress line, its summary, its entry among the jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from emberd.cli.printing import duration, percent, plural, table_lines
from emberd.cli.progress import draw_bar

if TYPE_CHECKING:
    from emberd.ingest import Progress, Summary

__all__ = ["job_lines", "progress_text", "summary_lines", "summary_map"]

_CHANGES = ("new", "changed", "unchanged", "removed")


def progress_text(progress: Progress, *, is_ascii: bool = False, has_bar: bool = True) -> str:
    """One line of 80 columns."""
    if progress.phase == "looking":
        return "looking for files ..."
    if progress.phase == "removing":
        return "removing what is gone ..."
    rate = progress.chunks / progress.elapsed_s if progress.elapsed_s else 0.0
    cached = progress.hits / progress.chunks if progress.chunks else 0.0
    words = (
        f"{progress.files:,}/{progress.files_total:,} files  {progress.chunks:,} chunks  "
        f"{rate:,.0f}/s  {percent(cached)} from cache"
    )
    if not has_bar:
        return words
    share = progress.files / progress.files_total if progress.files_total else 0.0
    return f"{draw_bar(share, width=18, is_ascii=is_ascii)} {share:4.0%}  {words}"


def summary_lines(summary: Summary) -> list[str]:
    """What was done, and what was left out."""
    would = "would be " if summary.is_dry_run else ""
    changes = [f"{count:,} {name}" for name in _CHANGES if (count := summary.counts[name])]
    head = f"{plural(summary.files, 'file')} in {duration(summary.elapsed_s)}"
    lines = [f"{head}: {', '.join(changes)}" if changes else head]
    if summary.chunks or summary.removed_chunks:
        lines.append(f"{plural(summary.chunks, 'chunk')} {would}written{_chunk_details(summary)}")
    if summary.skipped:
        reasons = [f"{count:,} {reason}" for reason, count in sorted(summary.skipped.items())]
        lines.append(f"left out: {', '.join(reasons)}")
    if summary.kept:
        lines.append(
            f"No file was found at all, so the {plural(summary.kept, 'file')} of the collection "
            f"stayed. `emberd collections drop {summary.collection}` removes everything."
        )
    return lines


def _chunk_details(summary: Summary) -> str:
    details = []
    if not summary.is_dry_run and summary.chunks:
        rate = summary.chunks / summary.elapsed_s if summary.elapsed_s else 0.0
        details = [f"{rate:,.0f}/s", f"{percent(summary.hit_ratio)} from the cache"]
    if summary.removed_chunks:
        details.append(f"{summary.removed_chunks:,} removed")
    return f" ({', '.join(details)})" if details else ""


def summary_map(summary: Summary) -> dict[str, Any]:
    """The summary as plain data."""
    return {
        "collection": summary.collection,
        "model": summary.model,
        "dry_run": summary.is_dry_run,
        "files": {name: summary.counts[name] for name in _CHANGES},
        "chunks": summary.chunks,
        "removed_chunks": summary.removed_chunks,
        "hits": dict(summary.hits),
        "computed": summary.computed,
        "skipped": dict(summary.skipped),
        "kept": summary.kept,
        "failures": [{"path": each.path, "reason": each.reason} for each in summary.failures],
        "read_bytes": summary.read_bytes,
        "elapsed_s": round(summary.elapsed_s, 3),
    }


def job_lines(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """A row a run."""
    rows = [
        [
            job["collection"],
            job["state"],
            f"{job.get('files', 0):,}/{job.get('files_total', 0):,}",
            f"{job.get('chunks', 0):,}",
            datetime.fromtimestamp(job["started"]).astimezone().strftime("%Y-%m-%d %H:%M"),
            duration((job["updated"] if _is_over(job) else time.time()) - job["started"]),
            str(job["pid"]),
            str(job.get("log") or "-"),
        ]
        for job in jobs
    ]
    header = ["COLLECTION", "STATE", "FILES", "CHUNKS", "STARTED", "FOR", "PID", "LOG"]
    lines = table_lines(header, rows, right="FILES CHUNKS FOR PID")
    return lines + [f"{job['collection']}: {job['error']}" for job in jobs if job.get("error")]


def _is_over(job: Mapping[str, Any]) -> bool:
    return bool(job["state"] != "running")
