from __future__ import annotations

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberd.errors import InvalidConfigError
from emberd.plugins import Secret
from emberd.plugins.secret import without_passwords, without_secrets
from emberd.plugins.settings import read_section, secrets_of, shown


class Server(msgspec.Struct, kw_only=True):
    host: str = "localhost"
    password: Secret = ""


class Section(msgspec.Struct, kw_only=True):
    url: str = ""
    token: Secret | None = None
    keys: list[Secret] = []
    servers: list[Server] = []
    named: dict[str, Server] = {}
    size: Annotated[int, msgspec.Meta(ge=1)] = 1
    ratio: float = 0.5


class Strict(msgspec.Struct):
    url: str

    def __post_init__(self) -> None:
        if "://" not in self.url:
            raise ValueError("url must be a URL")


def test_values_are_typed_and_missing_ones_have_defaults() -> None:
    section = read_section("p", Section, {"size": 3, "servers": [{"host": "a"}]})
    assert section == Section(size=3, servers=[Server(host="a")])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sise": 1}, r"'plugin\.p\.sise'; did you mean 'size'\?"),
        ({"servers": [{"hots": "a"}]}, r"'plugin\.p\.servers\[0\]\.hots'; did you mean 'host'\?"),
        ({"named": {"x": {"hots": "a"}}}, r"'plugin\.p\.named\.x\.hots'; did you mean 'host'\?"),
        ({"size": 0}, r"plugin\.p\.size: Expected `int` >= 1"),
        ({"size": "x"}, r"plugin\.p\.size: Expected `int`, got `str`"),
    ],
)
def test_a_wrong_value_names_its_key(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidConfigError, match=words):
        read_section("p", Section, values)


def test_a_plugins_own_checks_are_told() -> None:
    with pytest.raises(InvalidConfigError, match="url must be a URL"):
        read_section("p", Strict, {"url": "x"})
    with pytest.raises(InvalidConfigError, match="missing required field `url`"):
        read_section("p", Strict, {})


def test_a_plugin_without_settings_takes_none() -> None:
    assert read_section("p", None, {}) is None
    with pytest.raises(InvalidConfigError, match=r"remove \[plugin\.p\]"):
        read_section("p", None, {"a": 1})


def test_secrets_are_masked_wherever_they_are() -> None:
    section = Section(
        url="https://me:geheim@host/x?token=geheim2&a=1",
        token="geheim3",
        keys=["geheim4"],
        servers=[Server(password="geheim5")],
        named={"x": Server(password="geheim6")},
    )
    text = str(shown(section))
    assert "geheim" not in text
    assert "https://me:********@host/x?token=********&a=1" in text
    assert set(secrets_of(section)) == {"geheim3", "geheim4", "geheim5", "geheim6"}


def test_a_secret_that_is_not_set_is_shown_so() -> None:
    assert shown(Server()) == {"host": "localhost", "password": ""}
    assert secrets_of(Server()) == []
    assert shown(None) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("redis://:pw@host:6379", "redis://:********@host:6379"),
        ("to redis://a:p@ss@h failed", "to redis://a:********@h failed"),
        ("http://host/path?q=a:b@c", "http://host/path?q=a:b@c"),
        ("no url: a:b@c", "no url: a:b@c"),
    ],
)
def test_passwords_of_urls_are_masked_in_any_text(text: str, expected: str) -> None:
    assert without_passwords(text) == expected


@given(
    st.text(),
    st.text(alphabet="abcdefgh0123", min_size=4, max_size=20),
    st.text(),
)
def test_no_secret_is_left_in_a_text(before: str, secret: str, after: str) -> None:
    assert secret not in without_secrets(f"{before}{secret}{after}", [secret])
