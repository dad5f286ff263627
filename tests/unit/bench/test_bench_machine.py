from __future__ import annotations

import pytest
from bench import machine
from bench.machine import Neighbours, describe_machine, describe_versions


@pytest.mark.parametrize(
    ("busy_s", "ours_s", "share"),
    [
        (12.0, 12.0, 0.0),
        (12.0, 4.0, 0.4),
        (20.0, 0.0, 1.0),
        (3.0, 3.1, 0.0),  # clocks of different grain
    ],
)
def test_what_is_not_ours_is_the_neighbours(
    monkeypatch: pytest.MonkeyPatch, busy_s: float, ours_s: float, share: float
) -> None:
    """Ten seconds on two cores."""
    now = {"clock": 100.0, "busy": 500.0, "ours": 50.0}
    monkeypatch.setattr(machine, "_clock", lambda: now["clock"])
    monkeypatch.setattr(machine, "_busy_s", lambda: now["busy"])
    monkeypatch.setattr(machine, "_ours_s", lambda: now["ours"])
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    neighbours = Neighbours()
    now.update(clock=110.0, busy=500.0 + busy_s, ours=50.0 + ours_s)
    assert neighbours.share() == pytest.approx(share)


def test_the_clocks_of_the_system_fit_together() -> None:
    assert 0 <= Neighbours().share() <= 1


def test_nothing_that_names_a_person_or_a_host_is_kept() -> None:
    found = describe_machine()
    found.pop("gpus", None)
    assert set(found) == {"processor", "cores", "memory_gib", "system", "load_average"}
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0


def test_the_runtime_in_use_is_among_the_versions() -> None:
    versions = describe_versions()
    assert {"onnxruntime", "onnxruntime-gpu"} & set(versions)
    assert versions["emberd"]
