"""What the made-up daemon answers: equal questions at equal moments have equal answers."""

from __future__ import annotations

import math
from hashlib import blake2b

import msgspec

from emberd.client import Hit, PluginInfo
from emberd.errors import MethodNotFoundError, PluginNotFoundError
from emberd.wire.insight import (
    CacheInspection,
    HistoryColumns,
    LogLine,
    LogLines,
    RequestRow,
    RequestRows,
    RequestStages,
    TierFinding,
    TopText,
    TopTexts,
)
from emberd.wire.snapshot import Snapshot
from emberd_tui.answers import Answer
from emberd_tui.asks import (
    Ask,
    AskHistory,
    AskInspection,
    AskLogs,
    AskPlugin,
    AskRequests,
    AskSearch,
    AskTopTexts,
    ClearNamespace,
    RequestKind,
    SwitchPlugin,
)

__all__ = ["demo_answer"]

_SLOW_MS = 1_000.0
_TEXTS = (
    ("journal/2025-11.md", 41, "Banked the fire at ten; at six the embers still had enough heat."),
    ("house/stove.md", 7, "Draw air from below, or the fire starves however dry the wood is."),
    ("house/chimney.md", 19, "Sweep before the first frost: soot holds water and cracks the flue."),
    ("recipes/bread.md", 3, "Bake on the stone once the coals are grey and the door is cool."),
    ("walks/moor.md", 88, "Peat smoulders for weeks under snow and shows nothing above."),
    (
        "reading/forge.md",
        12,
        "A smith reads the iron's colour; straw is for springs, blue for saws.",
    ),
)
_LOG = (
    ("info", "daemon.started", "", {"version": "0.1.0", "pid": 41_027}),
    ("info", "model.loaded", "", {"model": "all-MiniLM-L6-v2", "seconds": 1.2, "dim": 384}),
    ("debug", "cache.committed", "", {"tier": "lmdb", "records": 512, "ms": 7.1}),
    ("info", "client.connected", "", {"client": "rag-service", "transport": "http"}),
    (
        "warning",
        "request.overloaded",
        "The queue is full.",
        {"client": "jupyter", "texts": 4_096, "retry_after_ms": 180},
    ),
    ("info", "cache.swept", "", {"tier": "lmdb", "expired": 1_204, "ms": 3}),
    (
        "error",
        "text.failed",
        "A text is over the byte limit; it failed alone.",
        {
            "client": "photo-tagger",
            "index": 17,
            "traceback": "Traceback (most recent call last):\n"
            '  File "service/embedding.py", line 88, in embed\n'
            "    check_size(text)\n"
            "TextTooLongError: 1,310,720 bytes are over the limit of 1,048,576.",
        },
    ),
    ("warning", "request.slow", "", {"request": 8_331, "seconds": 3.99, "client": "jupyter"}),
)


def demo_answer(ask: Ask, now: Snapshot) -> Answer:
    """The answer at the moment of the snapshot. Raises EmberdError."""
    answer: Answer
    match ask:
        case AskHistory(window_s=window_s):
            answer = _history(window_s, now)
        case AskPlugin(name=name) | SwitchPlugin(name=name):
            answer = _plugin(name, now)
        case AskSearch(query=query):
            answer = _hits(query)
        case AskInspection(text=text):
            answer = _inspection(text)
        case AskTopTexts(namespace=namespace):
            answer = _top_texts(namespace or "default", now)
        case ClearNamespace(name=name):
            answer = {
                space.name: space.entries for space in now.cache.namespaces if space.name == name
            }
        case AskRequests(kind=kind):
            answer = _requests(kind, now)
        case AskLogs(after=after):
            answer = _logs(after, now)
        case _:
            raise MethodNotFoundError(f"No method answers {type(ask).__name__}.")
    return answer


def _history(window_s: float, now: Snapshot) -> HistoryColumns:
    step_s = 1.0 if window_s <= 300 else 10.0
    # As far as the made-up daemon reaches: it started a while before its first snapshot.
    ages = [index * step_s for index in reversed(range(int(window_s / step_s)))]
    waves = [0.5 + 0.5 * math.sin((now.time - age) / 97) for age in ages]
    return HistoryColumns(
        step_s=step_s,
        end=now.time,
        columns={
            "hits_per_s": [420 + 300 * wave for wave in waves],
            "computed_per_s": [160 + 320 * wave**2 for wave in waves],
            "p50_ms": [0.28 + 0.05 * wave for wave in waves],
            "p99_ms": [31 + 900 * wave**6 for wave in waves],
        },
    )


def _plugin(name: str, now: Snapshot) -> PluginInfo:
    found = next((plugin for plugin in now.plugins if plugin.name == name), None)
    if found is None:
        raise PluginNotFoundError(f"There is no plugin {name}.")
    settings = {
        "journal": {"path": "~/embeds.jsonl", "rotate_bytes": 16_777_216},
        "limits": {"texts_per_minute": 60_000, "burst": 4_096, "token": "****"},
    }
    return PluginInfo(
        **msgspec.structs.asdict(found),
        settings=settings.get(name, {}),
        hooks=["register"],
        folder=f"~/.local/share/emberd/plugins/{name}",
    )


def _hits(query: str) -> list[Hit]:
    """Texts with the most of the words first."""
    words = set(query.casefold().split())
    found = []
    for index, (path, line, text) in enumerate(_TEXTS):
        shared = sum(word in text.casefold() for word in words) / max(len(words), 1)
        found.append(
            Hit(
                id=f"{path}#{line}",
                text=f"{text}\n\nWritten down the same evening.",
                snippet=text,
                metadata={"path": path, "line": line},
                score=round(0.31 + 0.4 * shared - 0.017 * index, 4),
            )
        )
    return sorted(found, key=lambda hit: -hit.score)


def _inspection(text: str) -> CacheInspection:
    digest = blake2b(text.encode(), digest_size=16).hexdigest()
    is_known = int(digest[0], 16) % 2 == 0
    return CacheInspection(
        model="all-MiniLM-L6-v2",
        fingerprint="3f" * 16,
        key=digest,
        cached=True,
        tiers=[
            TierFinding(tier="memory", found=is_known, size_bytes=768, norm=1.0)
            if is_known
            else TierFinding(tier="memory"),
            TierFinding(tier="lmdb", found=True, age_s=412_000.0, size_bytes=768, norm=0.9999),
        ],
        hits=214,
        tokens=len(text.split()) + 2,
    )


def _top_texts(namespace: str, now: Snapshot) -> TopTexts:
    """Fewer and fewer hits; none but of the namespace that people read in."""
    hits = next((space.hits for space in now.cache.namespaces if space.name == namespace), 0)
    texts = _TEXTS if namespace == "default" else ()
    return TopTexts(
        namespace=namespace,
        kept=20,
        since=now.time - now.sequence,
        hits=hits,
        texts=[
            TopText(
                text=text,
                characters=len(text),
                hits=round(hits * 0.11 / (index + 1)),
                over=3 if index > 3 else 0,
            )
            for index, (_, _, text) in enumerate(texts)
        ],
    )


def _requests(kind: RequestKind, now: Snapshot) -> RequestRows:
    rows = [_request(now.sequence - index, now.time - index) for index in range(60)]
    if kind == "slowest":
        rows = sorted(rows, key=lambda row: -row.seconds)[:20]
    elif kind == "slow":
        rows = [row for row in rows if row.seconds * 1e3 >= _SLOW_MS]
    return RequestRows(requests=rows, slow_ms=_SLOW_MS)


_CALLERS = ("rag-service", "notes-indexer", "jupyter", "nvim", "mail-search", "code-review")


def _request(number: int, time: float) -> RequestRow:
    texts = 1 + number * 7 % 64
    computed = 0 if number % 3 else texts // 2
    on_disk = (texts - computed) // 5
    compute = 0.041 * computed / 2
    is_bad = number % 17 == 0
    stages = RequestStages(
        memory=0.00012,
        tiers={"lmdb": 0.00031} if computed else {},
        admission=0.00002,
        tokenise=0.0006 * computed,
        queue=0.9 * (number % 5) * compute,
        compute=compute,
        reply=0.00008,
    )
    parts = (stages.memory, stages.admission, stages.tokenise, stages.queue, compute, stages.reply)
    return RequestRow(
        id=8_000 + number,
        time=time,
        method="search" if number % 11 == 0 else "embed",
        client=_CALLERS[number * 5 % len(_CALLERS)],
        client_id=number % 6 + 1,
        texts=texts,
        hits={"memory": texts - computed - on_disk, "lmdb": on_disk},
        computed=computed,
        seconds=sum(parts) + sum(stages.tiers.values()) + 0.0004,
        error="OVERLOADED" if is_bad else "",
        stages=stages,
    )


def _logs(after: int | None, now: Snapshot) -> LogLines:
    """A line every second second."""
    last = now.sequence // 2 + 40
    first = max(last - 120, 0) if after is None else after
    lines = []
    for number in range(first, last):
        level, event, message, fields = _LOG[number * 5 % len(_LOG)]
        moment = now.time - 2.0 * (last - number)
        lines.append(
            LogLine(time=moment, level=level, event=event, message=message, fields=dict(fields))  # type: ignore[arg-type]
        )
    return LogLines(lines=lines, next=last)
