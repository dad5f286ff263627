from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from emberd.errors import PluginFailedError
from emberd.plugins.loader import Found, installed


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def install(site: Path, name: str, value: str, code: str = "", metadata: str = "") -> None:
    module = f"loader_test_{name}"
    info = site / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        metadata or f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.2\nSummary: A test.\n"
    )
    (info / "entry_points.txt").write_text(f"[emberd]\n{name} = {value.format(module=module)}\n")
    (site / f"{module}.py").write_text(textwrap.dedent(code))


def found(name: str) -> Found:
    return next(plugin for plugin in installed() if plugin.name == name)


def test_a_plugin_comes_with_the_words_of_its_distribution(site: Path) -> None:
    install(site, "worded", "{module}")
    plugin = found("worded")
    assert (plugin.source, plugin.version, plugin.summary) == ("worded-dist", "1.2", "A test.")
    assert not plugin.is_bundled


def test_listing_imports_nothing(site: Path) -> None:
    install(site, "lazy", "{module}", "raise RuntimeError('imported')")
    plugin = found("lazy")
    with pytest.raises(RuntimeError, match="imported"):
        plugin.load()


def test_those_of_emberd_come_first_and_are_bundled(site: Path) -> None:
    install(site, "aaa", "{module}")
    names = [plugin.name for plugin in installed()]
    assert names.index("redis") < names.index("aaa")
    assert found("redis").is_bundled


def test_a_class_is_made_an_object(site: Path) -> None:
    install(site, "classy", "{module}:Plugin", "class Plugin:\n    word = 'here'\n")
    plugin = found("classy").load()
    assert not isinstance(plugin, type)
    assert plugin.word == "here"  # type: ignore[attr-defined]


def test_a_missing_package_is_named(site: Path) -> None:
    install(site, "poor", "{module}", "import nobody_has_this.inside")
    with pytest.raises(PluginFailedError, match="'nobody_has_this', which is not installed"):
        found("poor").load()


def test_a_module_of_its_own_that_is_missing_is_told_as_it_is(site: Path) -> None:
    install(site, "hollow", "nobody_made_this:plugin")
    with pytest.raises(ModuleNotFoundError, match="nobody_made_this"):
        found("hollow").load()


def test_a_distribution_without_metadata_is_listed_all_the_same(site: Path) -> None:
    install(site, "bare", "{module}", metadata="\n")
    assert found("bare").source == "unknown"
