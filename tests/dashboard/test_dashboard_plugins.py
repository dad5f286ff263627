"""What the dashboard shows of plugins, and the panels that other packages add to it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from dashboard_support import NOW, SNAPSHOTS, past, picture_of, text_of
from rich.table import Table

from emberd.wire.snapshot import Latency, PluginStats, Snapshot
from emberd_tui.dashboard import Dashboard
from emberd_tui.panels import AddedPanel
from emberd_tui.picture import paint
from emberd_tui.spans import plain
from emberd_tui.states import Live
from plugin_distributions import write_distribution

LMDB = PluginStats(name="lmdb", provides=["cache tier lmdb"], calls=9)
REDIS = PluginStats(
    name="redis",
    provides=["cache tier redis"],
    calls=1_200,
    errors=3,
    dropped=17,
    latency=Latency(count=5, p99_ms=1.5),
    statistics={"reconnects": 2, "share": 0.25, "server": "7.2"},
)
TRIPPED = PluginStats(name="zeal", state="tripped", message="10 errors in 60 s.", errors=10)
BLOCKED = PluginStats(name="aside", state="blocked", message="Denied by plugins.deny.")
OFF = PluginStats(name="upstream", state="off", message="Not in use.")


def snapshot(*plugins: PluginStats) -> Snapshot:
    return msgspec.structs.replace(SNAPSHOTS[-1], plugins=list(plugins))


def screen(size: tuple[int, int], *plugins: PluginStats) -> str:
    return text_of(picture_of([Live(snapshot(*plugins), NOW)], size))


@pytest.mark.parametrize("plugins", [(), (LMDB,), (LMDB, OFF)])
def test_there_is_no_panel_for_what_is_always_there(plugins: Sequence[PluginStats]) -> None:
    shown = screen((200, 60), *plugins)
    assert "─ Plugins ─" not in shown
    assert "upstream" not in shown


def test_problems_come_first_and_what_is_blocked_last() -> None:
    shown = screen((200, 60), BLOCKED, LMDB, OFF, REDIS, TRIPPED)
    assert "✖ 1 of 4" in shown
    panel = shown[shown.index("─ Plugins ─") :]
    names = ["✖ tripped", "10 errors in 60 s.", "lmdb", "redis", "aside"]
    places = [panel.index(name) for name in names]
    assert places == sorted(places)


def test_a_plugin_has_its_calls_errors_latency_and_figures() -> None:
    shown = screen((200, 60), LMDB, REDIS)
    row = next(line for line in shown.split("\n") if "redis  cache tier" in line)
    assert all(text in row for text in ("● enabled", "1,200", " 3 ", "1.50 ms"))
    assert "dropped 17 · reconnects 2 · share 0.25 · server 7.2" in shown


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (160, 48)])
def test_a_plugin_in_trouble_is_told_at_every_size(size: tuple[int, int]) -> None:
    assert "✖ plugins zeal tripped" in screen(size, LMDB, TRIPPED)
    second = msgspec.structs.replace(TRIPPED, name="other", state="check_error")
    assert "✖ plugins 2" in screen(size, LMDB, TRIPPED, second)


def test_a_usual_screen_stays_as_it_is_with_plugins() -> None:
    assert screen((80, 24), LMDB) == screen((80, 24), LMDB, REDIS)


def test_a_plugin_cannot_break_the_screen() -> None:
    nasty = PluginStats(
        name="\x1b[2J日本語" * 9, message="\r\n" * 9, statistics={"\x07": "\x1b[0m" * 40}
    )
    shown = screen((160, 48), nasty)
    assert "\x1b" not in shown
    assert {len(line) for line in screen((160, 48), REDIS).split("\n")} == {160}


# -- panels of other packages


class Weather:
    """A panel that says what it is told to."""

    title = "Weather"

    def __init__(self, content: Any = "fair\nwarm") -> None:
        self.content = content
        self.seen: list[int] = []

    def render(self, snapshot: Snapshot) -> Any:
        self.seen.append(snapshot.sequence)
        if isinstance(self.content, BaseException):
            raise self.content
        return self.content


def shown_with(panels: Sequence[AddedPanel], size: tuple[int, int] = (160, 48)) -> str:
    dashboard = Dashboard(panels=panels)
    for state in past(SNAPSHOTS[:3]):
        dashboard.take(state)
    return "\n".join(plain(line) for line in paint(dashboard.frame(NOW), *size).lines)


def test_a_panel_is_given_every_snapshot_and_shown_beside_the_others() -> None:
    panel = Weather()
    shown = shown_with([AddedPanel("weather", lambda: panel), AddedPanel("again", Weather)])
    assert panel.seen == [snapshot.sequence for snapshot in SNAPSHOTS[:3]]
    assert shown.count("─ Weather ─") == 2
    assert shown.count("│ fair") == 2
    assert {len(line) for line in shown.split("\n")} == {160}


def test_what_rich_can_print_is_shown_as_text() -> None:
    table = Table("where", "degrees")
    table.add_row("[bold]here[/bold]", "21")
    shown = shown_with([AddedPanel("weather", lambda: Weather(table))])
    assert "where" in shown
    assert "21" in shown


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (110, 30)])
def test_small_screens_keep_their_panels(size: tuple[int, int]) -> None:
    shown = shown_with([AddedPanel("weather", Weather)], size)
    assert {len(line) for line in shown.split("\n")} == {size[0]}
    without = shown_with([], size)
    for title in ("Throughput", "Cache", "Engine", "Clients"):
        assert (f"─ {title} ─" in shown) == (f"─ {title} ─" in without)


@pytest.mark.parametrize("fault", [ValueError("hail"), SystemExit("hail")])
def test_a_panel_that_raises_shows_its_error_and_the_rest_goes_on(fault: BaseException) -> None:
    panel = Weather(fault)
    shown = shown_with([AddedPanel("storm", lambda: panel), AddedPanel("weather", Weather)])
    assert "─ storm ─" in shown
    assert f"{type(fault).__name__}: hail" in shown
    assert "─ Weather ─" in shown
    assert len(panel.seen) == 3


def test_a_panel_that_cannot_be_made_shows_why() -> None:
    def make() -> Weather:
        raise RuntimeError("no barometer")

    assert "RuntimeError: no barometer" in shown_with([AddedPanel("weather", make)])


def test_what_cannot_be_printed_is_an_error_of_the_panel() -> None:
    class Unprintable:
        def __rich__(self) -> str:
            raise RuntimeError("no ink")

    shown = shown_with([AddedPanel("weather", lambda: Weather(Unprintable()))])
    assert "RuntimeError: no ink" in shown


def test_a_panel_s_text_cannot_break_the_screen() -> None:
    shown = shown_with([AddedPanel("weather", lambda: Weather("\x1b[2J日本語" * 99 + "\n\t" * 99))])
    assert "\x1b" not in shown


def test_installed_panels_are_found_by_name_and_broken_ones_told(tmp_path: Path) -> None:
    module = "class Sun:\n    title = 'Sun'\n    def render(self, snapshot):\n        return 'up'\n"
    entries = {"emberd.panels": {"sun": "panels_sun:Sun", "rain": "panels_rain:Rain"}}
    folder = write_distribution(tmp_path, "emberd-sun", entries, {"panels_sun": module})
    code = (
        "from emberd_tui.panels import load_panels\n"
        "from emberd.wire.snapshot import DaemonStats, Snapshot\n"
        "snapshot = Snapshot(daemon=DaemonStats(version='1', pid=1))\n"
        "for panel in load_panels():\n"
        "    print(panel.show(snapshot))\n"
    )
    path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    rain, sun = done.stdout.splitlines()
    assert "No module named 'panels_rain'" in rain
    assert "is_fault=True" in rain
    assert sun == "PanelContent(title='Sun', content='up', is_fault=False)"
