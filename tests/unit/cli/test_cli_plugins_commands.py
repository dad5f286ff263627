"""`emberd plugins`, with a daemon and without, and the commands of other packages."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_server import SmallDaemon

from emberd.cli.app import cli
from emberd.wire.snapshot import Latency, PluginStats
from plugin_distributions import write_distribution

GOOD = """
from emberd.plugins import hookimpl

class Plugin:
    @hookimpl
    def emberd_check(self, context):
        pass

plugin = Plugin()
"""

PLUGINS = {
    "cli-good": ({"emberd": {"good": "cli_good:plugin"}}, {"cli_good": GOOD}),
    "cli-bad": (
        {"emberd": {"bad": "cli_bad:plugin"}},
        {"cli_bad": "raise RuntimeError('no luck')"},
    ),
}

REDIS = PluginStats(
    name="redis",
    version="0.1.0",
    source="emberd",
    provides=["cache tier redis"],
    calls=1_234,
    busy_s=2.5,
    latency=Latency(count=9, p50_ms=0.2, p99_ms=1.25),
    statistics={"reconnects": 1},
)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> Path:
    """A folder on the path with two packages, of which one cannot be imported."""
    folder = tmp_path / "packages"
    for name, (entries, modules) in PLUGINS.items():
        write_distribution(folder, name, entries, modules)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("EMBERD_PLUGINS", raising=False)
    home.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def served(daemon: SmallDaemon, monkeypatch: pytest.MonkeyPatch) -> SmallDaemon:
    """A daemon with a tripped plugin and one that is well."""
    monkeypatch.delenv("EMBERD_PLUGINS", raising=False)
    limits = PluginStats(
        name="limits", state="tripped", message="10 errors in 60 s.", errors=10, trips=1, dropped=4
    )
    daemon.plugins = {"limits": limits, "redis": REDIS}
    return daemon


# -- with a daemon


@pytest.mark.usefixtures("served")
def test_the_list_has_states_figures_and_what_is_wrong(run_cli: Any) -> None:
    outcome = run_cli("plugins", "list")
    assert outcome.code == 0
    header, limits, redis, message = outcome.out.splitlines()
    assert header.split() == ["NAME", "STATE", "VERSION", "PROVIDES", "CALLS", "ERRORS", "P99"]
    assert limits.split() == ["limits", "tripped", "-", "-", "0", "10", "-"]
    assert redis.split()[:3] == ["redis", "enabled", "0.1.0"]
    assert redis.endswith("cache tier redis  1,234       0  1.25 ms")
    assert message == "  limits: 10 errors in 60 s."
    rows = run_cli("plugins", "list", "--json").json
    assert [row["name"] for row in rows] == ["limits", "redis"]


@pytest.mark.usefixtures("served")
def test_info_has_settings_hooks_and_figures(run_cli: Any) -> None:
    outcome = run_cli("plugins", "info", "redis")
    for line in ('url = "redis://cache"', "emberd_cache_tiers", "reconnects 1", "2.50 s in them"):
        assert line in outcome.out
    assert run_cli("plugins", "info", "redis", "--json").json["folder"] == "/data/x"
    assert run_cli("plugins", "info", "rediss").code == 1


def test_a_tripped_plugin_is_brought_back_without_touching_the_settings(
    run_cli: Any, served: SmallDaemon, home: Path
) -> None:
    (home / "config.toml").write_text("[plugin.limits]\n")
    assert run_cli("plugins", "enable", "limits").out == "limits is enabled\n"
    assert served.params_of("plugins.enable") == [{"name": "limits"}]
    assert (home / "config.toml").read_text() == "[plugin.limits]\n"


def test_disabling_is_for_now_and_for_the_next_start(
    run_cli: Any, served: SmallDaemon, home: Path
) -> None:
    file = home / "config.toml"
    file.write_text("# mine\n[plugin.redis]\nurl = 'x'  # ours\n")
    outcome = run_cli("plugins", "disable", "redis")
    assert (outcome.code, outcome.out) == (0, "redis is disabled\n")
    assert served.params_of("plugins.disable") == [{"name": "redis"}]
    assert file.read_text() == (
        "# mine\n[plugin.redis]\nurl = 'x'  # ours\n\n[plugins]\ndeny = [\"redis\"]\n"
    )
    again = run_cli("plugins", "disable", "redis", "--json").json
    assert (again["changed"], again["is_restart_needed"]) == ("", False)
    back = run_cli("plugins", "enable", "redis", "--json").json
    assert back["changed"] == str(file)
    assert back["is_restart_needed"]
    assert "deny = []" in file.read_text()


def test_a_plugin_that_the_daemon_has_not_loaded_waits_for_a_restart(
    run_cli: Any, served: SmallDaemon, packages: Path, home: Path
) -> None:
    (home / "config.toml").write_text('[plugins]\ndeny = ["good"]\n')
    outcome = run_cli("plugins", "enable", "good")
    assert outcome.code == 0
    assert outcome.out == "good is enabled from the daemon's next start on\n"
    assert (home / "config.toml").read_text() == "[plugins]\ndeny = []\n"
    assert served.params_of("plugins.enable") == [{"name": "good"}]


@pytest.mark.usefixtures("packages")
def test_another_users_daemon_keeps_its_settings(run_cli: Any, tmp_path: Path, home: Path) -> None:
    other = SmallDaemon(tmp_path / "o.sock")
    other.plugins = {"redis": REDIS}
    try:
        outcome = run_cli("plugins", "disable", "redis", "--socket", str(tmp_path / "o.sock"))
    finally:
        other.close()
    assert outcome.out == "redis is disabled\n"
    assert not (home / "config.toml").exists()


@pytest.mark.usefixtures("served")
def test_check_fails_where_something_is_wrong(run_cli: Any) -> None:
    good = run_cli("plugins", "check", "redis")
    assert (good.code, good.out) == (0, "redis: ok\n")
    every = run_cli("plugins", "check")
    assert every.code == 1
    assert every.out == "limits: tripped: 10 errors in 60 s.\nredis: ok\n"
    assert [row["state"] for row in run_cli("plugins", "check", "--json").json] == [
        "tripped",
        "enabled",
    ]


# -- without one


def rows_of(run_cli: Any) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in run_cli("plugins", "list", "--json").json}


@pytest.mark.usefixtures("packages")
def test_installed_plugins_are_listed_without_importing_them(run_cli: Any, home: Path) -> None:
    (home / "config.toml").write_text('[plugins]\ndeny = ["good"]\n[plugin.redis]\n')
    rows = rows_of(run_cli)
    assert {name: rows[name]["state"] for name in ("good", "bad", "redis", "limits")} == {
        "good": "blocked",
        "bad": "allowed",
        "redis": "allowed",
        "limits": "off",
    }
    assert (rows["good"]["source"], rows["good"]["version"]) == ("cli-good", "1.0")
    assert {"cli_good", "cli_bad"}.isdisjoint(sys.modules)
    outcome = run_cli("plugins", "list")
    assert "not running" in outcome.err
    assert "good: Denied by plugins.deny" in outcome.out


@pytest.mark.usefixtures("packages")
def test_the_variable_is_heeded_and_told(
    run_cli: Any, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setenv("EMBERD_PLUGINS", "-good")
    assert rows_of(run_cli)["good"]["state"] == "blocked"
    (home / "config.toml").write_text('[plugins]\ndeny = ["good"]\n')
    outcome = run_cli("plugins", "enable", "good")
    assert "good is still kept out: Denied by EMBERD_PLUGINS" in outcome.err


@pytest.mark.usefixtures("packages")
def test_info_masks_secrets(run_cli: Any, home: Path) -> None:
    (home / "config.toml").write_text('[plugin.good]\napi_key = "s3cret"\nsize = 3\n')
    outcome = run_cli("plugins", "info", "good")
    assert 'api_key = "********"' in outcome.out
    assert "size = 3" in outcome.out
    assert "About cli-good." in outcome.out


@pytest.mark.usefixtures("packages")
def test_unknown_names_are_answered_with_the_nearest(run_cli: Any) -> None:
    for words in (["info"], ["enable"], ["disable"], ["check"]):
        outcome = run_cli("plugins", *words, "goood")
        assert outcome.code == 1
        assert "PLUGIN_NOT_FOUND" in outcome.err
        assert "Did you mean 'good'" in outcome.err


@pytest.mark.usefixtures("packages")
def test_enabling_lets_in_whatever_the_settings_kept_out(run_cli: Any, home: Path) -> None:
    file = home / "config.toml"
    assert run_cli("plugins", "enable", "redis").code == 0  # it comes with emberd: wants a section
    assert file.read_text() == "[plugin.redis]\n"
    file.write_text('[plugins]\nallow = ["redis"]\ndeny = ["good"]\n')
    run_cli("plugins", "enable", "good")
    assert file.read_text() == '[plugins]\nallow = ["redis", "good"]\ndeny = []\n'
    assert rows_of(run_cli)["good"]["state"] == "allowed"


@pytest.mark.usefixtures("packages")
def test_what_the_daemon_cannot_do_without_is_not_disabled(run_cli: Any, home: Path) -> None:
    file = home / "config.toml"
    file.write_text('[plugins]\nrequired = ["good"]\n')
    outcome = run_cli("plugins", "disable", "good")
    assert outcome.code == 1
    assert "plugins.required" in outcome.err
    assert "cache.disk_mib" in run_cli("plugins", "disable", "lmdb").err
    assert file.read_text() == '[plugins]\nrequired = ["good"]\n'


@pytest.mark.usefixtures("packages")
def test_settings_that_cannot_be_edited_are_left_alone_with_the_lines(
    run_cli: Any, home: Path
) -> None:
    file = home / "config.toml"
    file.write_text('plugins = {deny = ["bad"]}\n')
    outcome = run_cli("plugins", "disable", "good")
    assert outcome.code == 1
    assert '[plugins]\n  deny = ["bad", "good"]' in outcome.err
    assert file.read_text() == 'plugins = {deny = ["bad"]}\n'


@pytest.mark.usefixtures("packages")
def test_check_loads_plugins_here_and_contains_what_they_do(run_cli: Any) -> None:
    good = run_cli("plugins", "check", "good")
    assert (good.code, good.out) == (0, "good: ok\n")
    bad = run_cli("plugins", "check", "bad")
    assert bad.code == 1
    assert bad.out.startswith("bad: load_error: ")
    assert "no luck" in bad.out
    rows = {row["name"]: row["state"] for row in run_cli("plugins", "check", "--json").json}
    assert (rows["good"], rows["bad"], rows["limits"]) == ("enabled", "load_error", "off")


# -- commands of other packages

COMMANDS = """
import click

@click.command()
@click.argument("word")
@click.pass_obj
def hello(app, word):
    click.echo(f"{word} at {app.address}")
    return 3

@click.group()
def tools():
    pass

@tools.command()
def hammer():
    raise ValueError("it broke")

nonsense = 7
"""

Emberd = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def emberd(tmp_path: Path, home: Path) -> Emberd:
    """Runs the command line in a process of its own, where two packages add commands."""
    folder = tmp_path / "packages"
    names = {name: f"cli_commands:{name}" for name in ("hello", "tools", "nonsense")}
    entries = {"emberd.commands": {**names, "embed": "cli_commands:hello"}}
    write_distribution(folder, "cli-commands", entries, {"cli_commands": COMMANDS})
    broken = {"emberd.commands": {"broken": "cli_broken:command", "hello": "cli_broken:command"}}
    write_distribution(folder, "cli-xbroken", broken, {"cli_broken": "raise SystemExit(9)"})

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        path = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, **variables}
        command = [sys.executable, "-m", "emberd", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    return run


def test_help_lists_them_under_their_own_heading_without_importing_them(emberd: Emberd) -> None:
    done = emberd("--help")
    assert done.returncode == 0
    section = done.stdout.partition("From other packages:\n")[2].split("\n\n")[0]
    assert [line.split(maxsplit=1) for line in section.splitlines()] == [
        ["broken", "From cli-xbroken 1.0."],
        ["hello", "From cli-commands 1.0."],
        ["nonsense", "From cli-commands 1.0."],
        ["tools", "From cli-commands 1.0."],
    ]


def test_they_run_with_the_address_of_the_daemon_and_their_own_exit_code(emberd: Emberd) -> None:
    done = emberd("--socket", "/run/x.sock", "hello", "you")
    assert (done.returncode, done.stdout) == (3, "you at /run/x.sock\n")


def test_a_broken_one_is_a_clear_error(emberd: Emberd) -> None:
    done = emberd("broken")
    assert done.returncode == 1
    assert "PLUGIN_FAILED: The command 'broken' of cli-xbroken 1.0 cannot be loaded" in done.stderr
    assert "is a int and no click.Command" in emberd("nonsense").stderr
    crashed = emberd("tools", "hammer")
    assert crashed.returncode == 1
    assert "ValueError: it broke" in crashed.stderr


def test_they_cannot_take_over_a_command_of_emberd(emberd: Emberd) -> None:
    assert "Turn texts into vectors." in emberd("embed", "--help").stdout


def test_a_misspelt_one_is_answered_with_the_nearest(emberd: Emberd) -> None:
    assert "Did you mean 'hello'?" in emberd("helo").stderr


def test_the_shell_completes_them_without_importing_them(emberd: Emberd) -> None:
    done = emberd(_EMBERD_COMPLETE="bash_complete", COMP_WORDS="emberd ", COMP_CWORD="1")
    found = {line.partition(",")[2] for line in done.stdout.splitlines()}
    assert found >= {"broken", "hello", "embed", "plugins"}


def test_own_commands_read_no_metadata(home: Path) -> None:
    code = "import sys; from emberd.cli.app import run; run(['up', '--help'])"
    code += "; sys.exit('importlib.metadata' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode
        == 0
    )
    assert "embed" in cli.own


def test_the_new_settings_file_is_for_its_owner_alone(
    run_cli: Any, packages: Path, home: Path
) -> None:
    run_cli("plugins", "disable", "good")
    assert stat.S_IMODE((home / "config.toml").stat().st_mode) == 0o600
