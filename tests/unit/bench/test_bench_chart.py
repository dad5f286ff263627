"""Charts of recorded results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from bench import cli
from bench.chart import write_charts

SVG = "{http://www.w3.org/2000/svg}"


def figure(name: str, unit: str, value: float) -> dict[str, Any]:
    return {"figure": name, "unit": unit, "value": value}


RECORD = {
    "results": [
        {
            "benchmark": "peers",
            "figures": [
                figure("slow & steady", "texts/s", 50.0),
                figure("emberd, exact", "texts/s", 300.0),
                figure("emberd / slow & steady", "x", 6.0),
            ],
        },
        {
            "benchmark": "scale",
            "figures": [
                figure(f"{kind} of {size:,}: {name}", "us", value)
                for kind, names in (
                    ("cache", ("insert", "one lookup")),
                    ("collection", ("one query",)),
                )
                for name in names
                for size, value in ((1_000, 2.0), (1_000_000, 20.0))
            ],
        },
        {"benchmark": "warm", "figures": [figure("cached / computed", "x", 900.0)]},
    ]
}


@pytest.fixture
def charts(tmp_path: Path) -> dict[str, ElementTree.Element]:
    files = write_charts(RECORD, tmp_path)
    return {file.stem: ElementTree.fromstring(file.read_text("utf-8")) for file in files}


def words(chart: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in chart.iter(f"{SVG}text")]


def test_what_has_a_chart_gets_one(charts: dict[str, ElementTree.Element]) -> None:
    assert charts.keys() == {"peers", "scale"}


def test_bars_are_as_long_as_their_numbers_the_longest_first(
    charts: dict[str, ElementTree.Element],
) -> None:
    widths = [float(bar.get("width", 0)) for bar in charts["peers"].iter(f"{SVG}rect")]
    assert widths[0] == pytest.approx(6 * widths[1], rel=0.01)
    assert words(charts["peers"])[1:] == ["emberd, exact", "300", "slow & steady", "50"]


def test_lines_rise_as_much_as_their_numbers(charts: dict[str, ElementTree.Element]) -> None:
    chart = charts["scale"]
    assert {"insert", "one lookup", "one query", "1,000", "1,000,000"} <= set(words(chart))
    circles = [(float(c.get("cx", 0)), float(c.get("cy", 0))) for c in chart.iter(f"{SVG}circle")]
    assert len(circles) == 6
    for (x, y), (later, higher) in zip(circles[::2], circles[1::2], strict=True):
        assert later > x
        assert higher < y  # the origin is above


def test_equal_results_give_equal_bytes(tmp_path: Path) -> None:
    first = [file.read_bytes() for file in write_charts(RECORD, tmp_path)]
    assert [file.read_bytes() for file in write_charts(RECORD, tmp_path)] == first


def test_the_command_draws_beside_the_results(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "today.json"
    file.write_text(json.dumps(RECORD))
    assert cli.main(["--chart", str(file)]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / f"{n}.svg") for n in ("peers", "scale")
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"results": [{}]}'])
def test_a_file_without_results_is_named(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.json"
    file.write_text(content)
    assert cli.main(["--chart", str(file)]) == 1
    assert "bad.json holds no results" in capsys.readouterr().err
