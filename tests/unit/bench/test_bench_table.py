from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.benchmark import Result
from bench.figures import Figure, at_least, below
from bench.record import Record, plain_figure
from bench.table import render, warn

FAST = Figure("cached / computed", "x", (140.0, 142.0, 138.0), at_least(50))
SLOW = Figure("one text", "us", (250.0,), below(200))
PLAIN = Figure("computed", "texts/s", (187.0, 180.0))


def test_the_table_is_aligned_and_names_each_benchmark_once() -> None:
    assert render([Result("warm", (FAST, PLAIN)), Result("single", (SLOW,))]) == "\n".join(
        [
            "benchmark  figure             value           spread      bar",
            "---------  -----------------  -----  -------  ----------  -----  -------",
            "warm       cached / computed    140  x        138 .. 142  >= 50  met",
            "           computed             184  texts/s  180 .. 187",
            "single     one text             250  us       250 .. 250  < 200  NOT MET",
        ]
    )


def test_no_line_ends_in_spaces() -> None:
    lines = render([Result("warm", (PLAIN, FAST))]).splitlines()
    assert [line for line in lines if line != line.rstrip()] == []


def test_a_record_keeps_samples_and_bars() -> None:
    assert plain_figure(SLOW) == {
        "figure": "one text",
        "unit": "us",
        "summary": "median",
        "value": 250.0,
        "spread": [250.0, 250.0],
        "samples": [250.0],
        "bar": {"below": 200},
        "met": False,
    }
    assert "bar" not in plain_figure(PLAIN)


def test_a_record_tells_machine_versions_date_and_command(tmp_path: Path) -> None:
    record = Record(["scripts/bench", "--quick"], {"rounds": 3})
    record.write(tmp_path / "found.json", [Result("warm", (FAST,), 4.04, 0.12345, (9.87654, 10.0))])
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["command"] == "scripts/bench --quick"
    assert found["options"] == {"rounds": 3}
    assert found["date"].endswith("Z")
    assert found["machine"]["cores"] >= 1
    assert {"python", "emberd", "numpy"} <= set(found["versions"])
    (result,) = found["results"]
    assert (result["benchmark"], result["seconds"], result["others"]) == ("warm", 4.0, 0.123)
    assert result["spin_ms"] == [9.8765, 10.0]
    assert [figure["figure"] for figure in result["figures"]] == ["cached / computed"]


def test_a_quiet_machine_needs_no_warning() -> None:
    assert warn([Result("warm", (FAST,), others=0.02, spin_ms=(10.0, 9.5))]) == ""


def test_other_programs_are_named_as_a_reason_for_doubt() -> None:
    warning = warn([Result("warm", (FAST,)), Result("bulk", (SLOW,), others=0.456)])
    assert "bulk 46%" in warning
    assert "warm" not in warning
    assert "quiet machine" in warning


@pytest.mark.parametrize("spin_ms", [(10.0, 18.0), (18.0, 10.0)])
def test_a_processor_that_changed_its_speed_is_a_reason_for_doubt(
    spin_ms: tuple[float, float],
) -> None:
    warning = warn([Result("single", (SLOW,), spin_ms=spin_ms)])
    assert "single 80%" in warning
