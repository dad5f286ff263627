"""What each panel promises to say, beyond what the golden screens show."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from dashboard_support import NOW, SNAPSHOTS, changed, past, picture_of, text_of

from emberd.wire.snapshot import (
    BatchStats,
    ClientLimit,
    ClientStats,
    CollectionStats,
    EngineStats,
    EventRecord,
    GpuStats,
    IndexStats,
    ModelStats,
    Snapshot,
    TextStats,
    TierStats,
)
from emberd_tui.glyphs import ASCII
from emberd_tui.spans import Span, plain
from emberd_tui.states import Live, Lost, NoDaemon, Refused, State


def screen(snapshot: Snapshot, size: tuple[int, int] = (160, 48)) -> str:
    return text_of(picture_of([Live(snapshot, NOW)], size))


def last(**parts: Any) -> Snapshot:
    return msgspec.structs.replace(SNAPSHOTS[-1], **parts)


def gpu(note: str = "", **fields: Any) -> Snapshot:
    return last(
        engine=EngineStats(
            device="NVIDIA H200",
            provider="CUDAExecutionProvider",
            provider_note=note,
            callers=1,
            **fields,
        )
    )


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (160, 48)])
def test_the_provider_in_use_is_always_shown(size: tuple[int, int]) -> None:
    assert "CUDA on NVIDIA" in screen(gpu(), size)


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (160, 48)])
def test_a_gpu_that_is_not_used_is_said_at_every_size(size: tuple[int, int]) -> None:
    assert "▲ CUDA is not used" in screen(gpu("CUDA is not used: cuDNN 9 is missing."), size)


GPU = GpuStats(
    busy_ratio=0.63,
    memory_used_bytes=61 << 30,
    memory_total_bytes=139 << 30,
    temperature_c=71.0,
    power_w=412.3,
    power_limit_w=700.0,
)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_a_gpu_in_use_shows_its_use_and_its_memory(size: tuple[int, int]) -> None:
    shown = screen(gpu(gpu=GPU), size)
    assert "63.0% │" in shown
    assert "61.0 GiB / 139 GiB" in shown
    assert "CUDA on NVIDIA" in shown
    assert ("71 C     412 / 700 W" in shown) == (size == (160, 48))


def test_figures_that_a_gpu_does_not_tell_are_dashes() -> None:
    some = msgspec.structs.replace(GPU, busy_ratio=None, power_w=None, power_limit_w=None)
    shown = screen(gpu(gpu=some))
    assert re.search(r"gpu +─+ +– │", shown)  # noqa: RUF001 - the dash of no figure
    assert "71 C     – W" in shown  # noqa: RUF001
    lost = GpuStats(message="NVML: GPU is lost.")
    assert "gpu     NVML: GPU is lost." in screen(gpu(gpu=lost))


REASON = "libcublasLt.so.13 is missing -> pip install 'emberd[cuda]'"
NOTE = f"NVIDIA GeForce RTX 4090 is there, but {'it cannot be used, ' * 12}so the CPU is used."


def test_why_the_gpu_is_not_used_is_shortened_to_what_fits() -> None:
    shown = screen(gpu(NOTE, provider_reason=REASON), (80, 24))
    assert "▲ CPU: libcublasLt.so.13 is missing…" in shown
    shown = screen(gpu(NOTE, provider_reason=REASON))
    assert "▲ CPU: libcublasLt.so.13 is missing -> pip install" in shown
    assert "│ 'emberd[cuda]' " in shown
    assert "callers" in shown


def test_a_machine_without_a_gpu_says_so_without_a_warning() -> None:
    shown = screen(gpu(provider_reason="no CUDA device found"))
    assert "why CPU no CUDA device found" in shown
    assert "▲ CPU" not in shown


def test_the_pipeline_has_every_stage_in_order_and_more_where_there_is_room() -> None:
    texts = TextStats(
        received_per_s=40, deduplicated_per_s=3, hits_per_s=30, computed_per_s=6, failed_per_s=1
    )
    engine = EngineStats(
        queue_texts=12,
        batches=BatchStats(tokens_per_s=1_234, fill_ratio=0.8, padding_ratio=0.01),
        stage_ms={"tokenise": 0.25, "queue": 2.5, "compute": 3.5},
    )

    def line_of(size: tuple[int, int]) -> str:
        lines = screen(last(texts=texts, engine=engine), size).splitlines()
        return " ".join(next(line for line in lines if "→ cached" in line).split())

    assert line_of((80, 24)) == "in 40 → dedup 3.0 → cached 30 → queue 12 → computed 6.0"
    assert line_of((220, 60)) == (
        "texts/s in 40 → dedup 3.0 → cached 30 → queue 12 → computed 6.0 1,234 tokens/s full 80.0% "
        "padding 1.0% 1.0 failed/s tokenise 0.25 ms queue 2.50 ms compute 3.50 ms"
    )


def test_clients_show_their_limits_where_there_are_any() -> None:
    limits = {
        "calm": ClientLimit(used_ratio=0.2),
        "close": ClientLimit(state="near", used_ratio=0.91),
        "over": ClientLimit(state="limited", retry_after_s=75.0),
        "free": None,
    }
    rows = [
        ClientStats(id=number, name=name, limit=limit, limited=7 * (name == "over"))
        for number, (name, limit) in enumerate(limits.items())
    ]
    shown = screen(last(clients=rows))
    heading = next(line for line in shown.splitlines() if "client " in line)
    assert "limit" in heading
    assert "refused" in heading
    for name, words in {"calm": "● free", "close": "▲ 91.0%", "over": "✖ 1m 15s"}.items():
        assert words in next(line for line in shown.splitlines() if f"│ {name} " in line)
    shown = screen(last(clients=[ClientStats(id=1, name="calm")]))
    assert "refused" not in next(line for line in shown.splitlines() if "client " in line)


def test_models_say_what_they_run_on_where_that_differs() -> None:
    models = [
        ModelStats(name=name, fingerprint="00", dim=8, max_tokens=9, device=device)
        for name, device in (("a", "NVIDIA H200"), ("b", "NVIDIA H200"), ("c", "plugin up"))
    ]
    assert "NVIDIA H200" in screen(last(models=models))
    assert "NVIDIA H200" not in screen(last(models=models[:2]))


def test_a_queue_that_is_nearly_full_is_marked() -> None:
    picture = picture_of([Live(gpu(queue_texts=60_000, queue_limit=65_536), NOW)], (160, 48))
    row = next(line for line in picture.lines if "60,000 texts" in plain(line))
    assert any(span.role == "bad" for span in row)


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
def test_a_tier_in_trouble_says_which_and_why(size: tuple[int, int]) -> None:
    tier = TierStats(name="lmdb", kind="lmdb", state="read_only", message="The disk is full.")
    cache = msgspec.structs.replace(SNAPSHOTS[-1].cache, tiers=[tier])
    assert "▲ read-only: The disk is full." in screen(last(cache=cache), size)


def test_many_tiers_have_a_row_each_where_room_is_short() -> None:
    tiers = [TierStats(name=name, kind="x") for name in ("memory", "lmdb", "redis")]
    cache = msgspec.structs.replace(SNAPSHOTS[-1].cache, tiers=tiers)
    shown = screen(last(cache=cache), (60, 16))
    assert all(f"│ {tier.name}" in shown for tier in tiers)


def test_a_tier_without_a_budget_shows_its_size_alone() -> None:
    tier = TierStats(name="redis", kind="redis", size_bytes=12 << 20)
    cache = msgspec.structs.replace(SNAPSHOTS[-1].cache, tiers=[tier])
    assert "12.0 MiB │" in screen(last(cache=cache), (80, 24))


def test_a_namespace_is_shown_when_there_are_several() -> None:
    spaces = [
        msgspec.structs.replace(SNAPSHOTS[-1].cache.namespaces[0], name=name)
        for name in ("default", "team-a")
    ]
    cache = msgspec.structs.replace(SNAPSHOTS[-1].cache, namespaces=spaces)
    assert "team-a" in screen(last(cache=cache))


def test_a_model_that_failed_says_why() -> None:
    model = ModelStats(
        name="broken",
        fingerprint="0",
        dim=8,
        max_tokens=8,
        state="failed",
        message="The graph has no output.",
    )
    shown = screen(last(models=[model]))
    assert "✖ failed" in shown
    assert "The graph has no output." in shown


def collection(name: str, **fields: Any) -> CollectionStats:
    return CollectionStats(name=name, **{"state": "ready", "graph": "ok", **fields})


def test_collections_that_need_a_look_come_first_then_those_asked_most() -> None:
    shown = screen(
        last(
            index=IndexStats(
                collections=[
                    collection("quiet", count=1_000, queries=3),
                    collection("popular", count=2_000, queries=900),
                    collection("sick", state="degraded", message="its file is damaged"),
                    collection("growing", state="rebuilding", rebuild_ratio=0.25),
                ]
            )
        )
    )
    order = ["sick", "its file is damaged", "growing", "popular", "quiet"]
    assert sorted(order, key=shown.index) == order
    assert "25.0%" in shown
    assert "3,000 documents" in shown


def test_without_collections_there_is_no_panel_for_them() -> None:
    assert "documents" not in screen(last(index=IndexStats()))


def test_a_client_without_a_name_has_its_number() -> None:
    assert "client 42" in screen(last(clients=[ClientStats(id=42)]))


def test_a_client_s_name_cannot_break_the_screen() -> None:
    nasty = ClientStats(id=1, name="\x1b[2J\r\n[bold]日本語" * 9, texts_per_s=1.0)
    shown = screen(last(clients=[nasty]), (80, 24))
    assert "\x1b" not in shown
    assert "[bold]" in shown


def test_events_are_shown_newest_first_and_cut_to_the_panel() -> None:
    events = [
        EventRecord(time=float(index), level="info", event=f"event.{index}", message="x" * 200)
        for index in range(50)
    ]
    shown = screen(last(events=events))
    assert shown.index("event.49") < shown.index("event.48")
    assert "event.1 " not in shown


def test_a_draining_daemon_is_not_called_serving() -> None:
    shown = screen(changed(SNAPSHOTS[-1], state="draining"))
    assert "▲ draining" in shown
    assert "serving" not in shown


def test_a_slow_event_loop_is_marked() -> None:
    snapshot = changed(SNAPSHOTS[-1], loop_lag_ms=180.0)
    picture = picture_of([Live(snapshot, NOW)], (160, 48))
    assert any(Span("180 ms", "warning") in line for line in picture.lines)


def test_a_lost_connection_dims_the_panels_and_nothing_else() -> None:
    picture = picture_of([*past(until=NOW - 3), Lost("gone", NOW + 2)], (80, 24))
    assert all(span.is_dim for line in picture.lines[2:-1] for span in line)
    assert not any(span.is_dim for line in (*picture.lines[:2], picture.lines[-1]) for span in line)


def test_the_countdown_ends_in_retrying() -> None:
    states: list[State] = [*past(), Lost("gone", NOW + 2.2)]
    assert "retry in 3 s" in text_of(picture_of(states, (80, 24)))
    assert "retrying" in text_of(picture_of(states, (80, 24), now=NOW + 3))


def test_a_refusal_offers_no_start() -> None:
    shown = text_of(picture_of([Refused("The token is wrong.", NOW + 2)], (80, 24)))
    assert "The token is wrong." in shown
    assert "start daemon" not in shown


def test_no_daemon_offers_to_start_it() -> None:
    shown = text_of(picture_of([NoDaemon("Nobody answers.", NOW + 2)], (80, 24)))
    assert "s start daemon" in shown


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (160, 48), (200, 60)])
def test_ascii_is_ascii_everywhere(size: tuple[int, int]) -> None:
    assert text_of(picture_of(past(), size, glyphs=ASCII)).isascii()
