"""Every command explains itself, and the root's table says what the commands say."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from emberd.cli.app import SECTIONS, cli
from emberd.cli.commands import cache  # any module: proves that the package is importable

TABLE = {name: text for commands in SECTIONS.values() for name, text in commands.items()}


def all_commands() -> Iterator[tuple[str, click.Command]]:
    context = click.Context(cli, info_name="emberd")
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {child}", sub) for child, sub in command.commands.items())


COMMANDS = dict(all_commands())


@pytest.mark.parametrize("name", TABLE)
def test_the_tables_line_is_the_commands_first_sentence(name: str) -> None:
    first = (COMMANDS[name].help or "").split("\n\n")[0]
    assert " ".join(first.split()) == TABLE[name]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_that_name_it(name: str) -> None:
    text = COMMANDS[name].help or ""
    assert "Examples:" in text
    assert f"emberd {name}" in text or name in ("service", "service status")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_does(name: str) -> None:
    for param in COMMANDS[name].params:
        if isinstance(param, click.Option):
            assert param.help, param.name


@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name].params])
def test_commands_take_the_common_options_themselves(name: str) -> None:
    if not isinstance(COMMANDS[name], click.Group):
        names = {option for param in COMMANDS[name].params for option in param.opts}
        assert {"--socket", "--quiet"} <= names


@pytest.mark.parametrize("name", COMMANDS)
def test_first_sentences_are_not_cut_off_in_the_list_of_a_group(name: str) -> None:
    assert not COMMANDS[name].get_short_help_str(limit=62).endswith("...")


def test_commands_live_in_modules_of_their_names() -> None:
    assert COMMANDS["cache"] is cache.command
