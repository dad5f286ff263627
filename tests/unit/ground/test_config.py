from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.config import Settings, duration_s, iter_settings, load_settings, settings_from
from emberd.errors import InvalidConfigError


def write(folder: Path, text: str) -> Path:
    file = folder / "config.toml"
    file.write_text(text)
    return file


def test_without_a_file_every_key_has_its_default(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "absent.toml", {}) == Settings()


def test_the_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    file = write(tmp_path, "[cache]\nmemory_mib = 5\ndisk_mib = 6\n[engine]\ndevice = 'cpu'")
    settings = load_settings(
        file, {"EMBERD_CACHE__MEMORY_MIB": "7", "EMBERD_MODELS__DEFAULT": "gte-small"}
    )
    assert settings.cache.memory_mib == 7
    assert settings.cache.disk_mib == 6
    assert settings.engine.device == "cpu"
    assert settings.models.default == "gte-small"


def test_namespaces_are_declared_in_the_file_and_by_variables(tmp_path: Path) -> None:
    file = write(tmp_path, "[cache.namespaces.notes]\ndisk_mib = 10\n")
    settings = load_settings(file, {"EMBERD_CACHE__NAMESPACES__MAIL__MEMORY_MIB": "3"})
    assert settings.cache.namespaces["notes"].disk_mib == 10
    assert settings.cache.namespaces["mail"].memory_mib == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[cache]\nmemmory_mib = 3", "did you mean 'memory_mib'?"),
        ("[chache]\nmemory_mib = 3", "did you mean 'cache'?"),
        ("[cache]\nmemory_mib = 'a'", "cache.memory_mib: Expected `int`, got `str`"),
        ("[engine]\nthreads = -1", "engine.threads: Expected `int` >= 0"),
        ("[engine]\ndevice = 'tpu'", "engine.device"),
        ("[cache.namespaces.a]\nfoo = 1", "known keys: memory_mib, disk_mib"),
        ("[models]\nkeep_alive = '5 parsecs'", "models: keep_alive: '5 parsecs' is no duration"),
        ("cache = 3", "cache: Expected `object`, got `int`"),
        ("this is no toml", "Correct or remove the file"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key_and_a_hint(
    tmp_path: Path, text: str, expected: str
) -> None:
    file = write(tmp_path, text)
    with pytest.raises(InvalidConfigError) as caught:
        load_settings(file, {})
    assert expected in caught.value.message
    assert str(file) in caught.value.message


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5m", 300),
        ("1h30m", 5_400),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("0", 0),
        ("90", 90),
        ("-1", None),
        ("forever", None),
    ],
)
def test_a_duration_is_what_it_says(tmp_path: Path, text: str, seconds: float | None) -> None:
    settings = load_settings(tmp_path / "absent.toml", {"EMBERD_MODELS__KEEP_ALIVE": text})
    assert duration_s(settings.models.keep_alive) == seconds


def test_a_misspelt_variable_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match=r"EMBERD_CACHE__MEMORY_MB.*memory_mib"):
        load_settings(tmp_path / "absent.toml", {"EMBERD_CACHE__MEMORY_MB": "1"})


def test_variables_that_are_no_settings_are_left_alone(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "absent.toml", {"EMBERD_HOME": "/x"}) == Settings()


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidConfigError, match="Cannot read"):
        load_settings(file, {})


def test_every_setting_is_listed_once_with_its_section() -> None:
    keys = [key for key, _ in iter_settings(Settings())]
    assert len(keys) == len(set(keys))
    assert {"cache.memory_mib", "engine.device", "log.level", "http.port"} <= set(keys)


@given(st.dictionaries(st.text(min_size=1), st.integers() | st.text(), min_size=1))
def test_no_unknown_key_is_ever_accepted(values: dict[str, object]) -> None:
    with pytest.raises(InvalidConfigError):
        settings_from(values, "test")
