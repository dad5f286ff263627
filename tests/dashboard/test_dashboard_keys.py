"""Keys as a person sets them: what is refused, and what every part of the screen makes of them."""

from __future__ import annotations

import string

import pytest
from dashboard_support import NOW, past, running
from hypothesis import given
from hypothesis import strategies as st
from textual.keys import _character_to_key

from emberd.errors import InvalidConfigError
from emberd_tui.key_names import code_of, shown
from emberd_tui.keymap import KEYMAP, KeyChoices, action_rows, key_map
from emberd_tui.keys import KEYS
from emberd_tui.names import SCREENS, ScreenName
from emberd_tui.states import NoDaemon


@pytest.mark.parametrize("character", sorted(set(string.printable.strip()) | {"ä", "я", "§", "€"}))
def test_a_character_is_the_key_that_textual_says(character: str) -> None:
    assert code_of(character) == _character_to_key(character)
    assert shown(code_of(character)) == character


@pytest.mark.parametrize(
    ("name", "code", "text"),
    [
        (" ", "space", "Space"),
        ("Space", "space", "Space"),
        ("esc", "escape", "Esc"),
        ("PgUp", "pageup", "PgUp"),
        ("return", "enter", "Enter"),
        ("F11", "f11", "F11"),
        ("Ctrl+N", "ctrl+n", "Ctrl+N"),
        ("shift+ctrl+f5", "ctrl+shift+f5", "Ctrl+Shift+F5"),
        ("ctrl+pageup", "ctrl+pageup", "Ctrl+PgUp"),
        ("shift+g", "G", "G"),
        ("question_mark", "question_mark", "?"),
        ("ctrl+i", "tab", "Tab"),
    ],
)
def test_keys_have_the_names_that_people_write(name: str, code: str, text: str) -> None:
    assert code_of(name) == code
    assert shown(code) == text


@given(st.text(max_size=12))
def test_any_text_is_a_key_or_a_typed_error(name: str) -> None:
    try:
        code = code_of(name)
    except InvalidConfigError:
        return
    assert code_of(shown(code)) == code


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("is_away", [False, True])
def test_no_key_has_two_meanings_on_a_screen(screen: ScreenName, is_away: bool) -> None:
    for keymap in (KEYMAP.watching(), KEYMAP.playing()):
        keys = [key for key in keymap.of(screen) if key.is_away == is_away]
        codes = [code for key in keys for code in key.codes]
        assert len(codes) == len(set(codes))


def test_entries_of_one_name_have_the_same_keys() -> None:
    assert len({(key.name, key.codes) for key in KEYS}) == len({key.name for key in KEYS})


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"freez": "f"}, ["dashboard.keys.freez", "did you mean 'freeze'?"]),
        ({"wobble": "f"}, ["`emberd top --keys`"]),
        ({"freeze": "spce"}, ["dashboard.keys.freeze", "did you mean 'space'?"]),
        ({"freeze": "ctr+f"}, ["did you mean 'ctrl+f'?"]),
        ({"freeze": ["f", "qqqqq"]}, ["no key 'qqqqq'", "write a character"]),
        ({"freeze": "s"}, ["'sort'", "dashboard.keys.freeze", "Overview"]),
        ({"level": "y"}, ["dashboard.keys.copy", "'level'", "Logs"]),
        ({"retry": "s"}, ["dashboard.keys.start", "'retry'"]),
        ({"help": ""}, ["help must have a key"]),
        ({"help": []}, ["help must have a key"]),
        ({"freeze": "ctrl+c"}, ["Ctrl+C always quits"]),
    ],
)
def test_what_cannot_be_is_refused_with_a_hint(choices: KeyChoices, words: list[str]) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        key_map(choices)
    assert all(word in caught.value.message for word in words), caught.value.message


def test_two_actions_may_change_places() -> None:
    chosen = key_map({"freeze": "s", "sort": "space"})
    assert [chosen.shown(name) for name in ("freeze", "sort")] == ["s", "Space"]


def test_the_list_of_actions_has_every_entry_with_its_keys() -> None:
    rows = action_rows(key_map({"maximise": ["f11", "Z"], "copy": ""}))
    assert [row.action for row in rows] == [key.name for key in KEYS]
    keys = {row.action: row.keys for row in rows}
    assert keys["maximise"] == ["F11", "Z"]
    assert keys["copy"] == []


async def test_a_chosen_key_acts_and_the_usual_one_no_more() -> None:
    async with running(past(), keys={"freeze": "f", "next_screen": ["n", "ctrl+n"]}) as run:
        assert "FROZEN" not in await run.press("space")
        assert "FROZEN" in await run.press("f")
        assert "[2 Requests]" in await run.press("ctrl+n")
        assert "[3 Cache]" in await run.press("n")
        assert "[3 Cache]" in await run.press("tab")


async def test_the_footer_and_the_help_show_the_chosen_keys() -> None:
    choices = {"freeze": "f", "sort": "S", "maximise": "", "help": "f1", "shorter_window": "w"}
    async with running(past(), (120, 40), keys=choices) as run:
        footer = (await run.screen()).split("\n")[-1]
        assert "f Freeze" in footer
        assert "S Sort" in footer
        assert "F1 Help" in footer
        assert "w/= Window" in footer
        assert "Zoom" not in footer
        screen = await run.press("f1")
        assert " f  Freeze the picture" in screen
        assert "whole screen" not in screen
        assert "FROZEN" in await run.click_on("f Freeze")


async def test_hints_show_the_chosen_keys() -> None:
    choices = {"retry": "R", "start": "S"}
    async with running([NoDaemon("Nobody answers.", NOW + 2)], keys=choices) as run:
        screen = await run.screen()
        assert "R now" in screen
        assert "S start daemon" in screen
        await run.press("R", "S", "s")
        assert run.source.asked == ["retry", "start"]


async def test_screens_can_have_other_keys() -> None:
    choices = {f"show_{name}": f"f{number}" for number, name in enumerate(SCREENS, start=1)}
    async with running(past(), (120, 40), keys={**choices, "help": "question_mark"}) as run:
        assert "[3 Cache]" in await run.press("f3")
        assert "F1/F2  Overview, Requests" in await run.press("question_mark")


async def test_ctrl_c_quits_when_nothing_else_does() -> None:
    async with running(past(), keys={"quit": ""}) as run:
        assert "Ctrl+C Quit" in await run.press("q")
        await run.pilot.press("ctrl+c")
        await run.pilot.pause()
    assert run.app.return_code == 0


async def test_letters_that_are_typed_are_no_keys() -> None:
    async with running(past(), keys={"freeze": "f"}) as run:
        screen = await run.press("4", "slash", *"fire")
        assert "Search: fire_" in screen
        assert "FROZEN" not in screen
