"""`emberd doctor` names what is wrong and what to do, and never breaks itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb
import pytest

from emberd.cli.checks import Finding, all_findings
from emberd.cli.checks import run as check_run
from emberd.cli.checks.daemon import daemon_findings, device_finding
from emberd.cli.checks.machine import cpu_finding, instruction_sets, openvino_finding
from emberd.cli.checks.software import required_packages, runtime_conflict
from emberd.cli.checks.storage import folder_finding, nearest_folder
from emberd.cli.context import App
from emberd.wire.snapshot import DaemonStats, EngineStats, Snapshot

CPUINFO = """\
processor	: 0
model name	: A Processor
flags		: fpu sse avx2 avx512f avx512_vnni amx_int8

processor	: 1
"""


def test_two_onnx_runtimes_are_a_conflict_with_a_way_out() -> None:
    finding = runtime_conflict({"onnxruntime": "1.0", "onnxruntime-gpu": "1.1"}.get)
    assert finding.state == "fail"
    assert "uninstall -y onnxruntime onnxruntime-gpu" in finding.advice
    assert "install onnxruntime-gpu" in finding.advice


def test_one_onnx_runtime_is_right_and_none_is_not() -> None:
    assert runtime_conflict({"onnxruntime": "1.0"}.get).state == "ok"
    assert runtime_conflict({}.get).state == "fail"


def test_required_packages_are_the_plain_ones() -> None:
    lines = [
        "aiohttp<4,>=3.10",
        'onnxruntime>=1.20; sys_platform != "win32"',
        'ruff>=0.9; extra == "test"',
        'uvloop>=0.21; sys_platform != "win32"',
    ]
    assert required_packages(lines) == ["aiohttp", "uvloop"]


def test_instruction_sets_are_read_from_the_kernels_list() -> None:
    assert instruction_sets(CPUINFO) == ["AVX2", "AVX-512", "AVX-512 VNNI", "AMX int8"]
    assert instruction_sets("Features : asimd asimddp\n") == ["NEON", "NEON dot product"]
    assert instruction_sets("") == []


def test_a_processor_without_avx2_is_warned_of() -> None:
    assert cpu_finding("x86_64", 2, []).state == "warn"
    assert cpu_finding("x86_64", 2, ["AVX2"]).state == "ok"
    assert cpu_finding("aarch64", 2, ["NEON"]).state == "ok"


@pytest.mark.parametrize(
    ("sets", "is_installed", "is_used", "state", "words"),
    [
        (["AVX2", "AVX-512 BF16"], False, False, "ok", "pip install 'emberd[openvino]'"),
        (["AMX bf16"], True, False, "ok", 'models.embedder = "openvino"'),
        (["AMX bf16"], True, True, "ok", "in use"),
        (["AMX bf16"], False, True, "fail", "not installed"),
        (["AVX2"], True, True, "warn", "neither with AMX"),
        (["AVX2"], True, False, "ok", "of no use"),
    ],
)
def test_openvino_is_spoken_of_where_it_matters(
    sets: list[str], is_installed: bool, is_used: bool, state: str, words: str
) -> None:
    found = openvino_finding(sets=sets, is_installed=is_installed, is_used=is_used)
    assert found is not None
    assert found.state == state
    assert words in found.message
    assert bool(found.advice) is (state != "ok")
    if not is_installed:
        assert "pip install 'emberd[openvino]'" in found.message + found.advice


def test_openvino_is_not_spoken_of_where_it_does_not() -> None:
    assert openvino_finding(sets=["AVX2"], is_installed=False, is_used=False) is None


def test_a_folder_that_is_not_there_yet_is_fine_where_it_can_be_made(tmp_path: Path) -> None:
    finding = folder_finding("data", tmp_path / "a" / "b", is_private=True)
    assert finding.state == "ok"
    assert "will be made" in finding.message
    assert nearest_folder(tmp_path / "a" / "b") == tmp_path


def test_a_private_folder_that_others_may_enter_is_warned_of(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    finding = folder_finding("data", tmp_path, is_private=True)
    assert finding.state == "warn"
    assert finding.advice == f"chmod 700 {tmp_path}"
    assert folder_finding("logs", tmp_path, is_private=False).state == "ok"


def test_a_link_in_place_of_a_folder_fails(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert folder_finding("data", tmp_path / "link", is_private=True).state == "fail"


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert folder_finding("data", tmp_path, is_private=True).state == "fail"
    assert folder_finding("data", tmp_path / "x", is_private=True).state == "fail"


def test_a_gpu_that_is_not_used_is_a_warning_that_says_why() -> None:
    assert device_finding("CPU", "CPUExecutionProvider", "").state == "ok"
    finding = device_finding("CPU", "CPUExecutionProvider", "libcudnn is missing. Install it.")
    assert finding.state == "warn"
    assert finding.advice == "libcudnn is missing. Install it."


def test_what_the_daemon_says_of_itself_is_passed_on() -> None:
    snapshot = Snapshot(
        daemon=DaemonStats(version="1", pid=7, problems=["the disk is full"]),
        engine=EngineStats(device="CPU (2 cores)", provider="CPUExecutionProvider"),
    )
    states = [(finding.name, finding.state) for finding in daemon_findings(snapshot)]
    assert states == [("daemon", "ok"), ("daemon", "warn"), ("device", "ok")]


def test_a_check_that_breaks_is_a_finding_and_the_others_still_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def check_broken_thing(_app: App) -> Iterator[Finding]:
        raise ZeroDivisionError("oops")

    def check_after(_app: App) -> Iterator[Finding]:
        yield Finding("after", "ok", "still asked")

    monkeypatch.setattr(check_run, "_CHECKS", (check_broken_thing, check_after))
    findings = list(all_findings(App()))
    assert [finding.state for finding in findings] == ["fail", "ok"]
    assert findings[0].name == "broken thing"
    assert "ZeroDivisionError: oops" in findings[0].message


def test_the_report_is_lines_and_json_alike(run_cli: Any) -> None:
    lines = run_cli("doctor")
    assert lines.code == 0
    report = run_cli("doctor", "--json").json
    assert report["healthy"] is True
    assert {row["name"] for row in report["findings"]} >= {"python", "settings", "data", "model"}
    for row in report["findings"]:
        assert row["state"] in ("ok", "warn", "fail")
        assert bool(row["advice"]) == (row["state"] != "ok")
    assert len([line for line in lines.out.splitlines() if not line.startswith(" ")]) == len(
        report["findings"]
    )


def test_wrong_settings_fail_the_report_but_do_not_end_it(run_cli: Any, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[cache]\nmemory_mb = 1\n")
    outcome = run_cli("doctor")
    assert outcome.code == 1
    assert "did you mean 'memory_mib'" in outcome.out
    assert "cache" in outcome.out.splitlines()[-1]


def cache_finding(report: dict[str, Any]) -> dict[str, str]:
    return next(row for row in report["findings"] if row["name"] == "cache")


def test_a_damaged_cache_is_told_of_and_never_mapped(run_cli: Any, home: Path) -> None:
    folder = home / "data" / "cache" / "lmdb"
    folder.mkdir(parents=True)
    (folder / "data.mdb").write_bytes(b"not a database" * 1000)
    finding = cache_finding(run_cli("doctor", "--json").json)
    assert finding["state"] == "warn"
    assert "damaged" in finding["message"]
    assert str(folder) in finding["advice"]


def test_a_sound_cache_is_fine(run_cli: Any, home: Path) -> None:
    folder = home / "data" / "cache" / "lmdb"
    folder.mkdir(parents=True)
    with lmdb.open(str(folder)) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"key", b"value")
    assert cache_finding(run_cli("doctor", "--json").json)["state"] == "ok"
