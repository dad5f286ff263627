"""A read-only dashboard: whatever is pressed, clicked or pasted, nothing changes."""

from __future__ import annotations

import pytest
from dashboard_support import NOW, ScriptedSource, answered, past, running
from textual.events import Key, Paste

from emberd.errors import InvalidRequestError
from emberd_tui.app import DashboardApp
from emberd_tui.asks import Ask, AskInspection, AskSearch, ClearNamespace, SwitchPlugin
from emberd_tui.key_names import shown
from emberd_tui.keymap import KEYMAP
from emberd_tui.keys import KEYS, only_looks
from emberd_tui.names import SCREENS, ScreenName
from emberd_tui.read_only import ReadOnlySource
from emberd_tui.states import NoDaemon

REFUSED = "read-only"
CHANGING = {"confirm", "connect", "decide", "record", "start", "stop_recording"}


def test_every_action_is_known_to_look_or_to_change() -> None:
    ours = [kind for kind in DashboardApp.mro() if kind.__module__.startswith("emberd_tui")]
    methods = {name for kind in ours for name in vars(kind) if name.startswith("action_")}
    names = {name.removeprefix("action_") for name in methods}
    assert {name for name in names if not only_looks(name)} == CHANGING


def test_every_ask_is_known_to_read_or_to_change() -> None:
    changing = {ask.__name__ for ask in Ask.__subclasses__() if not ask.only_reads}
    assert changing == {"ClearNamespace", "SwitchPlugin"}


@pytest.mark.parametrize("screen", SCREENS)
async def test_no_key_changes_anything(screen: ScreenName, monkeypatch: pytest.MonkeyPatch) -> None:
    """All keys of all screens, each followed by a yes, on a live daemon."""
    number = str(SCREENS.index(screen) + 1)
    confirmed: list[str] = []
    codes = dict.fromkeys(code for key in KEYS for code in key.codes)
    async with running(past(), is_read_only=True) as run:
        monkeypatch.setattr(run.app.dashboard.pages, "confirm", confirmed.append)
        for code in codes:
            if code not in ("q", "ctrl+c"):
                for pressed in ("escape", "escape", number, code, "y"):
                    run.canvas.post_message(Key(pressed, pressed if len(pressed) == 1 else None))
                run.app.post_message(Paste("y\ny\n"))
        await run.pilot.pause()
        assert f"[{number} " in await run.press("escape", "escape", number)
    assert confirmed == run.source.asked == []
    assert all(ask.only_reads for ask in run.source.asks)


@pytest.mark.parametrize(
    ("screen", "keys"),
    [("overview", "d"), ("overview", "r"), ("cache", "x"), ("plugins", "e"), ("plugins", "x")],
)
async def test_a_refused_key_says_so(screen: ScreenName, keys: str) -> None:
    async with running(past(), is_read_only=True) as run:
        await run.press(str(SCREENS.index(screen) + 1))
        assert REFUSED in await run.press(keys)


async def test_no_daemon_is_started() -> None:
    async with running([NoDaemon("Nobody answers.", NOW + 2)], is_read_only=True) as run:
        assert "start daemon" not in await run.screen()
        assert REFUSED in await run.press("s")
        assert REFUSED not in await run.press("escape")
        await run.press("r")
    assert run.source.asked == ["retry"]


async def test_a_click_that_changes_something_is_refused() -> None:
    async with running(past(), is_read_only=True) as run:
        await run.press("3")
        await run.app.run_action("confirm('disable')")
        await run.app.run_action("decide('y')")
        assert REFUSED in await run.screen()
    assert not any(isinstance(ask, ClearNamespace) for ask in run.source.asks)


@pytest.mark.parametrize("screen", SCREENS)
async def test_refused_keys_are_not_shown(screen: ScreenName) -> None:
    hidden = [key for key in KEYMAP.watching().of(screen) if not only_looks(key.action)]
    async with running(past(), (120, 48), is_read_only=True) as run:
        footer = (await run.press(str(SCREENS.index(screen) + 1))).split("\n")[-1]
        help_text = await run.press("question_mark")
    for key in hidden:
        assert key.help not in help_text
        assert not key.label or f"{shown(key.codes[0])} {key.label}" not in footer
    assert "Quit" in footer


async def test_searching_inspecting_and_filters_work() -> None:
    async with running(past(), is_read_only=True) as run:
        await run.press("4", "slash", *"fire", "enter")
        await run.press("3", "i", *"warm", "enter")
        await run.press("6", "slash", *"cache")
        assert "Filter: cache" in await run.screen()
    kinds = {type(ask) for ask in run.source.asks}
    assert {AskSearch, AskInspection} <= kinds


async def test_the_source_refuses_what_a_forgotten_key_would_send() -> None:
    source = ScriptedSource()
    source.answer = answered
    read_only = ReadOnlySource(source)
    for ask in (ClearNamespace("default"), SwitchPlugin("redis", is_on=False)):
        with pytest.raises(InvalidRequestError, match=REFUSED):
            await read_only.ask(ask)
    read_only.start()
    await read_only.ask(AskInspection("warm"))
    assert source.asked == []
    assert source.asks == [AskInspection("warm")]
