from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from bench import cli
from bench.benchmark import Bench, Benchmark, LeftOutError
from bench.benchmarks import BENCHMARKS
from bench.figures import Figure, at_least

GOOD = Figure("good", "x", (60.0,), at_least(50))
BAD = Figure("bad", "x", (40.0,), at_least(50))


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts benchmarks that give these figures (or raise) in the place of the real ones."""
    bench = Bench(SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setattr(
        cli,
        "_bench",
        lambda options: replace(bench, rounds=cli._rounds(options), is_quick=options.quick),
    )

    def put(**runs: Callable[[Bench], list[Figure]]) -> None:
        stand_ins = {name: Benchmark(name, f"{name}?", "", run) for name, run in runs.items()}
        monkeypatch.setattr("bench.benchmarks.BENCHMARKS", stand_ins)

    return put


def broken(bench: Bench) -> list[Figure]:
    raise RuntimeError("no daemon")


def test_every_benchmark_has_a_question_and_a_bar() -> None:
    assert {"warm", "single", "schedule", "bulk", "mixed", "loop", "start"} < set(BENCHMARKS)
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.name == name
        assert benchmark.question.endswith("?")
        assert benchmark.bar


def test_the_list_shows_names_and_bars(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--list"]) == 0
    listed = capsys.readouterr().out
    for name, benchmark in BENCHMARKS.items():
        assert name in listed
        assert benchmark.bar in listed


def test_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ending:
        cli.main(["--help"])
    assert ending.value.code == 0
    assert "--only warm --only single" in capsys.readouterr().out


def test_an_unknown_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--only", "wram"]) == 2
    assert "'wram'" in capsys.readouterr().err


def test_a_missed_bar_fails_the_run_only_when_it_is_checked(only: Callable[..., None]) -> None:
    only(a=lambda bench: [GOOD, BAD])
    assert cli.main([]) == 0
    assert cli.main(["--check"]) == 1


def test_what_runs_on_request_only_waits_to_be_named(
    only: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def noted(name: str) -> Callable[[Bench], list[Figure]]:
        return lambda bench: ran.append(name) or [GOOD]

    only(a=noted("a"), b=noted("b"))
    benchmarks = dict(vars(sys.modules["bench.benchmarks"])["BENCHMARKS"])
    benchmarks["b"] = replace(benchmarks["b"], is_on_request=True)
    monkeypatch.setattr("bench.benchmarks.BENCHMARKS", benchmarks)
    for words, expected in ([], ["a"]), (["--only", "b"], ["b"]), (["--all"], ["a", "b"]):
        ran.clear()
        assert cli.main(words) == 0
        assert ran == expected


def test_met_bars_pass_the_check(only: Callable[..., None]) -> None:
    only(a=lambda bench: [GOOD])
    assert cli.main(["--check"]) == 0


def test_a_benchmark_that_fails_does_not_end_the_run_but_is_told(
    only: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    only(a=broken, b=lambda bench: [GOOD])
    assert cli.main([]) == 1
    output = capsys.readouterr()
    assert "good" in output.out
    assert "no daemon" in output.err


def test_a_benchmark_that_this_machine_cannot_run_is_told_and_is_no_failure(
    only: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def cannot(bench: Bench) -> list[Figure]:
        raise LeftOutError("a thing is not installed")

    only(a=cannot, b=lambda bench: [GOOD])
    assert cli.main(["--check"]) == 0
    told = capsys.readouterr()
    assert "a: a? left out, as a thing is not installed" in told.err
    assert "good" in told.out


def test_only_the_named_benchmarks_run(only: Callable[..., None]) -> None:
    ran: list[str] = []

    def run(name: str) -> Callable[[Bench], list[Figure]]:
        return lambda bench: ran.append(name) or [GOOD]  # type: ignore[func-returns-value]

    only(a=run("a"), b=run("b"), c=run("c"))
    assert cli.main(["--only", "c", "--only", "a"]) == 0
    assert ran == ["a", "c"]


@pytest.mark.parametrize(
    ("arguments", "rounds", "few", "size"),
    [([], 5, 3, 100), (["--quick"], 3, 1, 10), (["--quick", "--rounds", "1"], 1, 1, 10)],
)
def test_quick_means_fewer_rounds_and_smaller_sizes(
    only: Callable[..., None], arguments: list[str], rounds: int, few: int, size: int
) -> None:
    seen: list[Bench] = []

    def run(bench: Bench) -> list[Figure]:
        seen.append(bench)
        return [GOOD]

    only(a=run)
    cli.main(arguments)
    assert seen[0].rounds == rounds
    assert seen[0].few_rounds == few
    assert seen[0].size(100, 10) == size


def test_results_are_written_with_the_command_and_no_folder_of_ours(
    only: Callable[..., None], tmp_path: Path
) -> None:
    only(a=lambda bench: [GOOD])
    file = tmp_path / "results.json"
    assert cli.main(["--json", str(file)]) == 0
    found = json.loads(file.read_text())
    assert found["command"] == "scripts/bench --json results.json"
    assert found["results"][0]["figures"][0]["met"] is True
    assert str(tmp_path) not in file.read_text()


@pytest.mark.parametrize("count", ["0", "-1"])
def test_no_rounds_are_refused(count: str) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--rounds", count])
