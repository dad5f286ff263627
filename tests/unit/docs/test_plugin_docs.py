"""That plugins/README.md says what the code does, and that its examples work."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from click.testing import CliRunner

import emberd.testing
from emberd.cache import lower
from emberd.cli.command_plugins import GROUP as COMMANDS
from emberd.cli.commands.plugins import command as plugins_command
from emberd.cli.context import App
from emberd.config import PluginSettings
from emberd.plugins import lifetime
from emberd.plugins.hooks import HookSpecs
from emberd.plugins.offers import KINDS
from emberd.plugins.rules import VARIABLE, State
from emberd.plugins.settings import read_section
from emberd.service import embedder_calls, observation
from emberd.service.admission import ACQUIRE_S
from emberd.testing import InProcessDaemon
from emberd.wire.snapshot import DaemonStats, RequestStats, Snapshot, TextStats
from emberd_tui.panels import GROUP as PANELS

FOLDER = Path(__file__).resolve().parents[3] / "plugins"
PAGE = (FOLDER / "README.md").read_text("utf-8")
HOOKS = [name for name in vars(HookSpecs) if name.startswith("emberd_")]
BUNDLED = ["limits", "redis", "upstream"]


def section(heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    level = heading.index(" ")
    _, found, rest = PAGE.partition(f"\n{heading}\n")
    assert found, f"no heading {heading!r}"
    return re.split(rf"^#{{2,{level}}} ", rest, maxsplit=1, flags=re.M)[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)


def first_column(text: str, header: str) -> list[str]:
    """The names in the first column of the table whose first header this is."""
    table = re.search(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, flags=re.M)
    assert table is not None, f"no table {header!r}"
    rows = table[1].splitlines()
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def executed(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "from_the_readme"}
    exec(compile(source, "README.md", "exec", dont_inherit=True), names)
    return names


# -- tables ---------------------------------------------------------------------------------


def test_every_hook_is_documented_and_no_other() -> None:
    text = section("## Hooks")
    assert first_column(text, "hook") == HOOKS
    assert re.findall(r"^### `(.+)`$", text, flags=re.M) == HOOKS


def test_every_contract_is_documented_and_no_other() -> None:
    documented = first_column(section("## Hooks"), "contract")
    assert sorted(documented) == sorted(kind.contract.__name__ for kind in KINDS)


@pytest.mark.parametrize(
    ("contract", "words"),
    [
        ("CacheTier", f"{lower._LOOKUP_S:g} s and {lower._LOOKUP_S_PER_KEY * 1e3:g} ms a key"),
        ("RateLimiter", f"{ACQUIRE_S * 1e3:g} ms for all"),
        (
            "Embedder",
            f"{embedder_calls.CALL_S:g} s a call; `models()` {embedder_calls.MODELS_S:g} s",
        ),
        ("Observer", f"{observation._QUEUE_RECORDS:,} records"),
        ("StatisticsSource", f"{lifetime._FIGURES_S:g} s"),
    ],
)
def test_the_time_of_an_objects_calls_is_the_one_that_is_documented(
    contract: str, words: str
) -> None:
    (row,) = re.findall(rf"^\| `{contract}` \|.*$", PAGE, flags=re.M)
    assert words in row


def test_every_state_is_documented_and_no_other() -> None:
    assert sorted(first_column(section("## States"), "state")) == sorted(get_args(State))


def test_every_setting_is_documented_and_no_other() -> None:
    text = section("## Settings")
    fields = [f"plugins.{field}" for field in PluginSettings.__struct_fields__]
    assert first_column(text, "setting") == fields
    assert f"`{VARIABLE}=" in text
    text = section("## Hooks")
    assert f"`plugins.errors` ({PluginSettings().errors}) of them" in text


def test_every_command_is_documented_and_no_other() -> None:
    words = [line.split()[2] for line in first_column(section("## Commands"), "command")]
    assert isinstance(plugins_command, click.Group)
    assert sorted(words) == sorted(plugins_command.commands)


def test_the_groups_of_entry_points_are_those_of_the_code() -> None:
    text = section("## Commands and panels of your own")
    for group in (COMMANDS, PANELS):
        assert f"group `{group}`" in text


def test_every_class_and_fixture_of_the_kit_is_documented() -> None:
    text = section("## Testing")
    plugin = importlib.import_module("emberd.testing.plugin")
    for name in [*emberd.testing.__all__, *plugin.__all__]:
        assert re.search(rf"`(emberd\.testing\.)?{name}`", text), name


def test_every_folder_is_on_the_map() -> None:
    folders = [
        f"{each.name}/" for each in FOLDER.iterdir() if each.is_dir() and any(each.iterdir())
    ]
    assert sorted(first_column(PAGE, "folder")) == sorted(folders)


@pytest.mark.parametrize("name", BUNDLED)
def test_the_settings_shown_of_a_bundled_plugin_are_right(name: str) -> None:
    (source,) = blocks(section(f"## {name}"), "toml")
    values = tomllib.loads(source)["plugin"][name]
    (entry,) = (each for each in entry_points(group="emberd") if each.name == name)
    plugin = entry.load()
    kind = (plugin() if isinstance(plugin, type) else plugin).emberd_settings()
    assert read_section(name, kind, values) != kind()


def test_the_settings_shown_of_the_example_are_its_own() -> None:
    page = (FOLDER / "example" / "README.md").read_text()
    source = (FOLDER / "example" / "emberd_filetier" / "plugin.py").read_text()
    fields = re.findall(r"^    (\w+): \S.* = \S+$", source, flags=re.M)
    assert re.findall(r"^\| `(\w+)` \|", page, flags=re.M) == fields


# -- examples -------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_a_hook_works_in_a_daemon(
    hook: str, emberd_leak_check: object, emberd_daemon: Callable[..., InProcessDaemon]
) -> None:
    (source,) = blocks(section(f"### `{hook}`"), "python")
    plugin = executed(source)["plugin"]
    client = emberd_daemon(plugins={"shown": plugin}).client()
    info = client.plugin_info("shown")
    assert (info.state, info.message) == ("enabled", "")
    assert hook in info.hooks
    model = "letters" if hook == "emberd_embedders" else None
    assert len(client.embed(["some text"], model=model)) == 1
    if hook in ("emberd_metrics_exporters", "emberd_statistics"):  # called with each snapshot
        client.stats(fresh=True)
        client.stats(fresh=True)
    assert client.plugin_info("shown").errors == 0


def test_the_plugin_in_ten_minutes_passes_its_own_tests(tmp_path: Path) -> None:
    text = section("## A plugin in ten minutes")
    for source in [*blocks(text, "toml"), *blocks(text, "python")]:
        name, _, rest = source.removeprefix("# ").partition("\n")
        (tmp_path / name).write_text(rest)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    module, _, name = project["project"]["entry-points"]["emberd"]["mytier"].partition(":")
    assert executed((tmp_path / f"{module}.py").read_text())[name]
    options = ["-q", "-p", "no:cacheprovider", "-o", "pythonpath=."]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout


def test_the_command_asks_the_daemon(emberd_daemon: Callable[..., InProcessDaemon]) -> None:
    daemon = emberd_daemon()
    source, _ = blocks(section("## Commands and panels of your own"), "python")
    daemon.client().embed(["one", "two"])
    daemon.client().stats(fresh=True)
    app = App(socket=daemon.socket)
    result = CliRunner().invoke(executed(source)["received"], obj=app)
    assert (result.output, result.exit_code) == ("2\n", 0)


def test_the_panel_renders_a_snapshot() -> None:
    _, source = blocks(section("## Commands and panels of your own"), "python")
    panel = executed(source)["Pace"]()
    snapshot = Snapshot(
        daemon=DaemonStats(version="1", pid=1),
        texts=TextStats(per_s=1.2),
        requests=RequestStats(per_s=2.0),
    )
    assert panel.title == "Pace"
    assert panel.render(snapshot) == "1 texts/s\n2 requests/s"
