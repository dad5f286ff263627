"""The screens as text, compared with files that a person can read in review.

`EMBERD_UPDATE_GOLDEN=1 pytest tests/dashboard` writes them anew: look at the difference.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from dashboard_support import (
    NOW,
    SNAPSHOTS,
    changed,
    empty_snapshot,
    past,
    running,
    unanswered,
)

from emberd_tui.states import Connecting, Live, Lost, NoDaemon, OtherVersion, Starting, State

GOLDEN = Path(__file__).parent / "golden"

REFUSED = (
    "No daemon answers on /run/emberd.sock (Connection refused). Start it with `emberd up`; "
    "`emberd logs` shows why an earlier one ended."
)


def live() -> list[State]:
    return past()


def lost() -> list[State]:
    return [*past(until=NOW - 12), Lost("The daemon closed the connection.", NOW + 3)]


def gap() -> list[State]:
    before, after = SNAPSHOTS[:40], SNAPSHOTS[40:]
    return [
        *past(before, until=NOW - 50 - 14),
        Lost("The daemon closed the connection.", NOW - 60),
        *past(after, until=NOW),
    ]


def degraded() -> list[State]:
    problems = [
        "The cache on disk is read-only: no space left on the device. Free some space.",
        "A worker of the engine was restarted 3 times in the last minute. See `emberd logs`.",
    ]
    last = changed(SNAPSHOTS[-1], health="degraded", problems=problems)
    return past([*SNAPSHOTS[:-1], last])


STATES: dict[str, Callable[[], list[State]]] = {
    "live": live,
    "lost": lost,
    "gap": gap,
    "degraded": degraded,
    "empty": lambda: [Live(empty_snapshot(), NOW)],
    "connecting": lambda: [Connecting()],
    "starting": lambda: [Starting()],
    "no-daemon": lambda: [NoDaemon(REFUSED, NOW + 2)],
    "other-version": lambda: [
        OtherVersion(
            "The daemon (emberd 0.9.0) sends snapshots of version 2; this dashboard reads "
            "version 1.",
            NOW + 5,
        )
    ],
}

SIZES = {"60x16": (60, 16), "80x24": (80, 24), "160x48": (160, 48)}

CASES = [
    *((state, size, "") for state in ("live", "lost", "no-daemon") for size in SIZES),
    ("gap", "160x48", ""),
    ("degraded", "80x24", ""),
    ("empty", "160x48", ""),
    ("connecting", "80x24", ""),
    ("starting", "80x24", ""),
    ("other-version", "80x24", ""),
    ("live", "80x24", "question_mark"),
    ("degraded", "80x24", "p"),
    ("live", "60x16", "left,left,left"),
    ("live", "60x16", "question_mark"),
    ("live", "60x16", "colon"),
    ("live", "80x24", "colon,w,i,n,down"),
    ("live", "80x24", "down,down,y"),
    ("live", "60x16", "z,z,z"),
    ("live", "80x24", "d,slash,t,m,p"),
    ("no-daemon", "80x24", "d"),
]


@pytest.mark.parametrize(("state", "size", "keys"), CASES)
async def test_a_screen_looks_as_it_did(state: str, size: str, keys: str) -> None:
    async with running(STATES[state](), SIZES[size]) as run:
        screen = await run.press(*filter(None, keys.split(",")))
    compare("-".join(filter(None, ["overview", state, size, keys.replace(",", "-")])), screen)


SCREEN_CASES = [
    *(
        (screen, size, keys)
        for screen, keys in (
            ("requests", "2"),
            ("requests", "2,down,down,down"),
            ("cache", "3"),
            ("cache", "3,i,e,m,b,e,r,enter"),
            ("index", "4,down"),
            ("index", "4,slash,f,i,r,e,enter,down"),
            ("plugins", "5,down"),
            ("logs", "6"),
            ("logs", "6,l,up,enter"),
        )
        for size in ("80x24", "160x48")
    ),
    ("requests", "60x16", "2"),
    ("requests", "60x16", "2,right,enter"),
    ("requests", "80x24", "2,slash,j,u,p"),
    ("cache", "60x16", "3"),
    ("cache", "80x24", "3,x"),
    ("index", "60x16", "4,slash,f,i,r,e,enter"),
    ("index", "80x24", "4,slash,f,i,r,e,enter,enter"),
    ("plugins", "60x16", "5,enter"),
    ("plugins", "80x24", "5,e"),
    ("plugins", "80x24", "5,question_mark"),
    ("logs", "60x16", "6"),
]


@pytest.mark.parametrize(("screen", "size", "keys"), SCREEN_CASES)
async def test_a_screen_with_rows_looks_as_it_did(screen: str, size: str, keys: str) -> None:
    async with running(live(), SIZES[size]) as run:
        shown = await run.press(*keys.split(","))
    after = "-".join(keys.split(",")[1:])
    compare("-".join(filter(None, [screen, size, after])), shown)


@pytest.mark.parametrize("key", ["2", "6"])
async def test_an_older_daemon_is_told_as_before(key: str) -> None:
    async with running(live(), (80, 24), answer=unanswered) as run:
        compare(f"older-80x24-{key}", await run.press(key))


async def test_a_lost_connection_on_a_screen_with_rows_looks_as_it_did() -> None:
    async with running(lost(), (80, 24)) as run:
        compare("plugins-lost-80x24", await run.press("5"))


@pytest.mark.parametrize("key", ["2", "3", "4", "5", "6"])
async def test_every_screen_is_ascii_on_request(key: str) -> None:
    async with running(live(), (160, 48), ascii=True) as run:
        assert (await run.press(key, "down")).isascii()


async def test_the_ascii_screen_looks_as_it_did() -> None:
    async with running(gap(), (80, 24), ascii=True) as run:
        screen = await run.screen()
    assert screen.isascii()
    compare("overview-gap-80x24-ascii", screen)


def compare(name: str, screen: str) -> None:
    file = GOLDEN / f"{name}.txt"
    found = "".join(f"{line.rstrip()}\n" for line in screen.split("\n"))
    if os.environ.get("EMBERD_UPDATE_GOLDEN"):
        file.write_text(found, encoding="utf-8")
    expected = file.read_text(encoding="utf-8")
    assert found == expected, f"{file.name} differs; EMBERD_UPDATE_GOLDEN=1 writes it anew"
