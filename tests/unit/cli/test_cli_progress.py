"""Progress is for a person at a terminal, and leaves no trace."""

from __future__ import annotations

import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from emberd.cli.progress import ProgressLine, draw_bar, pull_text
from emberd.models import Progress


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _terminal_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")


def test_nothing_is_drawn_where_nobody_watches() -> None:
    pipe = io.StringIO()
    with ProgressLine(stream=pipe) as line:
        line.show(lambda: "hello")
    assert pipe.getvalue() == ""


def test_quiet_and_dumb_terminals_get_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ProgressLine(stream=Terminal(), is_quiet=True).is_on
    monkeypatch.setenv("TERM", "dumb")
    assert not ProgressLine(stream=Terminal()).is_on


def test_the_line_is_redrawn_ten_times_a_second_at_most() -> None:
    now = 0.0
    terminal = Terminal()
    line = ProgressLine(stream=terminal, clock=lambda: now)
    line.show(lambda: "one")
    now = 0.05
    line.show(lambda: "two")
    now = 0.2
    line.show(lambda: "three")
    assert "one" in terminal.getvalue()
    assert "two" not in terminal.getvalue()
    assert "three" in terminal.getvalue()


def test_the_terminal_is_left_clean_whatever_happens() -> None:
    terminal = Terminal()

    def give_up() -> None:
        with ProgressLine(stream=terminal) as line:
            line.show(lambda: "half done")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give_up()
    assert terminal.getvalue().endswith("\x1b[2K")


@given(st.floats(-1, 2), st.integers(1, 60), st.booleans())
def test_a_bar_has_its_width_whatever_the_share(share: float, width: int, is_ascii: bool) -> None:
    assert len(draw_bar(share, width=width, is_ascii=is_ascii)) == width


def test_a_bar_is_empty_at_first_and_full_at_the_end() -> None:
    assert draw_bar(0, width=4, is_ascii=True) == "...."
    assert draw_bar(0.5, width=4, is_ascii=True) == "##.."
    assert draw_bar(1, width=4, is_ascii=True) == "####"


def test_a_pull_shows_the_step_the_file_and_how_much_of_it() -> None:
    text = pull_text(Progress("download", "model.safetensors", 43 << 20, 86 << 20), is_ascii=True)
    assert text.split() == [
        "fetching", "model.safetensors", "#########.........", "50%", "43.0", "of", "86.0", "MiB"
    ]  # fmt: skip


@given(st.text(st.characters(categories=["L"]), max_size=90), st.integers(1, 1 << 39))
@example("", 1_023_949)
def test_a_pull_fits_a_terminal_of_80_columns(name: str, total: int) -> None:
    assert len(pull_text(Progress("download", name, total, total))) < 80


def test_a_step_without_a_size_still_says_what_it_does() -> None:
    assert pull_text(Progress("build", "the graph")) == "building   the graph ..."
