"""A settings file is changed in the fewest characters, or left alone."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.cli.settings_edit import Change, changed, edit
from emberd.cli.settings_file import commented_file
from emberd.config import settings_from
from emberd.errors import InvalidConfigError

DENY = Change("plugins", "deny", ["redis"])
SECTION = Change("plugin.redis")


def test_a_new_file_has_the_lines_alone(tmp_path: Path) -> None:
    file = tmp_path / "new" / "config.toml"
    edit(file, [DENY])
    assert file.read_text() == '[plugins]\ndeny = ["redis"]\n'
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[log]\nkeep = 2 # x\n", '[log]\nkeep = 2 # x\n\n[plugins]\ndeny = ["redis"]\n'),
        ("[log]\nkeep = 2", '[log]\nkeep = 2\n\n[plugins]\ndeny = ["redis"]\n'),
        (
            "# mine\n[plugins]  # which\nerrors = 3\n[log]\nkeep = 2\n",
            '# mine\n[plugins]  # which\ndeny = ["redis"]\nerrors = 3\n[log]\nkeep = 2\n',
        ),
        (
            "[plugins]\nallow = []\n  deny = [ 'x' ] # why\n",
            '[plugins]\nallow = []\n  deny = ["redis"] # why\n',
        ),
        ('[plugins]\ndeny = [\n  "a]",\n  "b",\n]\n', '[plugins]\ndeny = ["redis"]\n'),
        ("[plugins]\n# No.\n#deny = []\n", '[plugins]\n# No.\n#deny = []\ndeny = ["redis"]\n'),
        ("[plugins]\r\nerrors = 3\r\n", '[plugins]\r\ndeny = ["redis"]\r\nerrors = 3\r\n'),
        ("[plugins]", '[plugins]\ndeny = ["redis"]\n'),
    ],
    ids=["no section", "no newline", "section", "key", "long list", "comment", "crlf", "bare"],
)  # fmt: skip
def test_everything_else_stays_as_it_was(before: str, after: str) -> None:
    assert changed(before, [DENY]) == after


def test_a_section_is_added_once() -> None:
    once = changed("", [SECTION])
    assert once == "[plugin.redis]\n"
    assert changed('[plugin.redis]\nurl = "x"\n', [SECTION]) == '[plugin.redis]\nurl = "x"\n'


def test_several_changes_are_made_together() -> None:
    text = changed("[plugins]\ndeny = ['a']\n", [Change("plugins", "deny", []), SECTION])
    assert text == "[plugins]\ndeny = []\n\n[plugin.redis]\n"


@pytest.mark.parametrize(
    "text",
    [
        'plugins = {deny = ["a"]}\n',
        'plugins.deny = ["a"]\n',
        '[plugins]\ndeny = [\n  "a",  # slow\n]\n',
        '[plugins]\n"deny" = ["a"]\n',
        'note = """\n[plugins]\n"""\n[plugins]\nerrors = 3\n',
        "[plugins\n",
    ],
    ids=["inline", "dotted", "comment in the list", "quoted", "in a string", "broken"],
)
def test_what_is_not_simple_is_left_alone_with_the_lines_to_put_in(
    tmp_path: Path, text: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(InvalidConfigError, match=r'\[plugins\]\n  deny = \["redis"\]'):
        edit(file, [DENY])
    assert file.read_text() == text
    assert list(tmp_path.iterdir()) == [file]


def test_the_files_mode_and_a_link_to_it_stay(tmp_path: Path) -> None:
    file, link = tmp_path / "dotfiles.toml", tmp_path / "config.toml"
    file.write_text("")
    file.chmod(0o640)
    link.symlink_to(file)
    edit(link, [DENY])
    assert link.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o640
    assert "redis" in file.read_text()


@given(
    st.lists(st.text(max_size=8), max_size=4),
    st.sampled_from(["", "[plugins]\n", '[plugins]\ndeny = [\'a\', "b\\"]"]\n', commented_file()]),
)
def test_the_names_are_there_as_given(names: list[str], before: str) -> None:
    text = changed(before, [Change("plugins", "deny", names)])
    assert text is not None
    assert settings_from(tomllib.loads(text), "test").plugins.deny == names
