"""The settings file that emberd writes is right, complete and explained; secrets stay secret."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emberd.cli.settings_file import (
    commented_file,
    describe_settings,
    mask,
    setting_rows,
    toml_value,
)
from emberd.config import Settings, iter_settings, settings_from


def uncommented(text: str) -> str:
    """What a person gets who takes the # away from every key; comments have `# ` there."""
    lines = text.splitlines()
    return "\n".join(
        line.removeprefix("#") if line.startswith("#") and not line.startswith("# ") else line
        for line in lines
    )


def test_the_file_as_written_changes_nothing() -> None:
    assert settings_from(tomllib.loads(commented_file()), "test") == Settings()


def test_the_file_with_every_key_taken_in_says_the_defaults() -> None:
    values = tomllib.loads(uncommented(commented_file()))
    assert settings_from(values, "test") == Settings()


def test_the_file_has_every_key() -> None:
    values = tomllib.loads(uncommented(commented_file()))

    def keys(value: Any, prefix: str) -> set[str]:
        if isinstance(value, dict):
            return {k for name, v in value.items() for k in keys(v, f"{prefix}{name}.")}
        return {prefix.rstrip(".")}

    assert keys(values, "") == {key for key, _ in iter_settings(Settings())}


def test_every_section_is_explained() -> None:
    assert all(row.section_doc for row in describe_settings())


def test_docs_are_the_codes_own_words() -> None:
    rows = {f"{row.section}.{row.key}": row.doc for row in describe_settings()}
    assert rows["cache.memory_mib"] == "Budget of the memory tier; 0 turns it off."


json_like = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e9, 1e9) | st.text(max_size=20),
    lambda children: (
        st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=6,
)


@given(json_like)
@example("\x7f")
def test_values_are_written_as_toml_reads_them(value: Any) -> None:
    assert tomllib.loads(f"value = {toml_value(value)}")["value"] == value


def test_rows_say_where_a_value_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[cache]\nmemory_mib = 64\nttl_s = 0\n[http]\ntoken = "s3cret"\n')
    rows = {row.key: row for row in setting_rows(file, {"EMBERD_ENGINE__THREADS": "3"})}
    assert rows["cache.memory_mib"].origin == str(file)
    assert rows["cache.memory_mib"].is_changed
    assert rows["cache.ttl_s"].origin == str(file)
    assert not rows["cache.ttl_s"].is_changed
    assert rows["engine.threads"].origin == "EMBERD_ENGINE__THREADS"
    assert rows["engine.threads"].value == 3
    assert rows["cache.disk_mib"].origin == "default"


def test_a_variable_outweighs_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[cache]\nmemory_mib = 64\n")
    rows = {row.key: row for row in setting_rows(file, {"EMBERD_CACHE__MEMORY_MIB": "32"})}
    assert rows["cache.memory_mib"].value == 32
    assert rows["cache.memory_mib"].origin == "EMBERD_CACHE__MEMORY_MIB"


@pytest.mark.parametrize(
    "key",
    [
        "tcp.token",
        "http.token",
        "plugin.api_key",
        "redis.password",
        "plugin.upstream.secret_key",
        "plugin.upstream.headers.Authorization",
        "plugin.upstream.headers.X-Api-Key",
    ],
)
def test_secrets_are_masked_and_empty_ones_are_not(key: str) -> None:
    assert mask(key, "s3cret") == "********"
    assert mask(key, "") == ""


def test_other_values_are_shown() -> None:
    assert mask("cache.memory_mib", 64) == 64
    assert mask("plugin.upstream.max_tokens", 512) == 512
    assert mask("plugin.redis.key_prefix", "emberd:") == "emberd:"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:s3cret@cache:6379/0", "redis://:********@cache:6379/0"),
        ("https://me:s3:cret@host/v1?a=b@c", "https://me:********@host/v1?a=b@c"),
        ("redis://cache:6379", "redis://cache:6379"),
        ("https://host/a:b@c", "https://host/a:b@c"),
    ],
)
def test_the_password_of_a_url_is_masked_and_the_rest_of_it_shown(url: str, shown: str) -> None:
    assert mask("plugin.redis.url", url) == shown
    assert mask("plugin.redis.urls", [url]) == [shown]


def test_secrets_in_lists_of_tables_are_masked() -> None:
    servers = [{"url": "http://a", "api_key": "s3cret"}, {"url": "http://me:s3cret@b"}]
    assert "s3cret" not in toml_value(mask("plugin.upstream.servers", servers))


def test_config_init_then_check_then_show(run_cli: Any, home: Path) -> None:
    file = home / "config.toml"
    assert run_cli("config", "init").out == f"wrote {file}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert run_cli("config", "check").out == f"ok: {file}, 0 set\n"
    assert run_cli("config", "show", "--changed", "--json").json == {}
    assert run_cli("config", "path").out.strip() == str(file)


def test_config_init_never_writes_over_a_file_unasked(run_cli: Any, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[log]\nlevel = 'debug'\n")
    outcome = run_cli("config", "init")
    assert outcome.code == 1
    assert "--force" in outcome.err
    assert "debug" in (home / "config.toml").read_text()
    assert run_cli("config", "init", "--force").code == 0


def test_config_show_never_prints_a_secret(run_cli: Any, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text('[tcp]\nport = 7000\ntoken = "s3cret"\n')
    for words in (["config", "show"], ["config", "show", "--json"]):
        outcome = run_cli(*words)
        assert "s3cret" not in outcome.out
        assert "********" in outcome.out


def test_config_show_has_the_sections_of_plugins(run_cli: Any, home: Path) -> None:
    home.mkdir()
    file = home / "config.toml"
    file.write_text(
        '[plugin.limits]\n[plugin.redis]\nurl = "redis://:s3cret@cache"\nttl_s = 60\n'
        '[plugin.upstream.headers]\nAuthorization = "Bearer s3cret"\n'
    )
    shown = run_cli("config", "show", "--changed", "--json").json
    assert {key: row["value"] for key, row in shown.items()} == {
        "plugin.limits": {},
        "plugin.redis.url": "redis://:********@cache",
        "plugin.redis.ttl_s": 60,
        "plugin.upstream.headers.Authorization": "********",
    }
    assert {row["origin"] for row in shown.values()} == {str(file)}
    assert "s3cret" not in run_cli("config", "show").out


def test_config_check_names_the_wrong_key_and_the_nearest(run_cli: Any, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("[cache]\nmemory_mb = 64\n")
    outcome = run_cli("config", "check")
    assert outcome.code == 1
    assert "error: INVALID_CONFIG:" in outcome.err
    assert "did you mean 'memory_mib'" in outcome.err
