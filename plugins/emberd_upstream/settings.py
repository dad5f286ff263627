"""The section `[plugin.upstream]`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec

from emberd.plugins import Secret

__all__ = ["Kind", "ModelSettings", "UpstreamSettings", "api_key_of", "check_settings"]

Kind = Literal["openai", "ollama", "tei"]

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A section `[plugin.upstream.models.NAME]`; requests ask for NAME."""

    urls: list[str]
    """Servers of this one model, in the order in which they are tried."""
    kind: Kind = "openai"
    """`openai`: every server with `/v1/embeddings`; `ollama`: `/api/embed`; `tei`: `/embed` of
    text-embeddings-inference."""
    model: str = ""
    """The server's name for it; empty means NAME."""
    revision: str = ""
    """Change it when the server's model changed under the same name: cached vectors are of one
    revision."""
    dim: Annotated[int, msgspec.Meta(ge=0, le=65_536)] = 0
    """Numbers a vector; 0 asks the server once and remembers the answer."""
    dimensions: Count = 0
    """Ask the server to cut its vectors to this many; 0 takes them as they are."""
    api_key: Secret = ""
    """Sent as a bearer token."""
    api_key_env: str = ""
    """The daemon's environment variable that holds the key, instead of `api_key`."""
    batch_texts: Annotated[int, msgspec.Meta(ge=1, le=2_048)] = 64
    """Texts of one request to the server, at most."""
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=256)] = 4
    """Requests under way at the same time, at most."""
    timeout_s: Seconds = 60.0
    """For one answer of a server."""
    connect_timeout_s: Seconds = 5.0
    """For a new connection to a server."""
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 2
    """Further attempts at one server before the next one is tried."""
    max_wait_s: Annotated[float, msgspec.Meta(ge=0, le=300)] = 30.0
    """Longest wait for a server that asks for patience, or for our own rate; then the request
    fails with RATE_LIMITED."""
    requests_per_minute: Count = 0
    """To each server; 0 means any number."""
    tokens_per_minute: Count = 0
    """To each server, by an estimate that is corrected by what the server counts; 0 means any
    number."""
    max_tokens: Count = 0
    """The model's window, for people and for cutting documents; 0 means unknown."""
    prompts: dict[str, str] = {}
    """Named prompts that requests can ask for, put before each text."""
    licence: str = "unknown"
    """Shown by `emberd models info`."""
    fallback: str = ""
    """A model by name that answers whole requests while no server of this one can be reached."""
    verify_tls: bool = True
    """False takes any certificate."""


class UpstreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The plugin's own."""

    models: dict[str, ModelSettings] = {}
    """The models by the names that requests give."""
    connections: Positive = 64
    """Open connections of all models together, at most."""


def check_settings(settings: UpstreamSettings, environment: Mapping[str, str] = os.environ) -> None:
    """Raises ValueError where the settings cannot be right, with what to write instead."""
    if not settings.models:
        raise ValueError(
            "plugin.upstream.models: there is none; add [plugin.upstream.models.NAME] with urls."
        )
    for name, model in settings.models.items():
        section = f"plugin.upstream.models.{name}"
        _check_urls(section, model)
        if model.fallback == name:
            raise ValueError(f"{section}.fallback: a model cannot stand in for itself.")
        if model.dim and model.dimensions and model.dim != model.dimensions:
            raise ValueError(f"{section}.dim: leave it out, or make it equal to dimensions.")
        if model.api_key and model.api_key_env:
            raise ValueError(f"{section}: give either api_key or api_key_env.")
        if model.api_key_env and not environment.get(model.api_key_env):
            raise ValueError(
                f"{section}.api_key_env: the daemon's environment has no {model.api_key_env}."
            )
        if any(ord(letter) not in range(0x21, 0x7F) for letter in api_key_of(model, environment)):
            raise ValueError(f"{section}: the API key has letters that no header can hold.")


def api_key_of(model: ModelSettings, environment: Mapping[str, str] = os.environ) -> str:
    """The key, without the newline that many a file ends with; "" where there is none."""
    return (model.api_key or environment.get(model.api_key_env, "")).strip()


def _check_urls(section: str, model: ModelSettings) -> None:
    if not model.urls:
        raise ValueError(f"{section}.urls: give at least one.")
    for url in model.urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{section}.urls: {_shown(url)} is no http:// or https:// address.")
        if parts.password or parts.username:
            raise ValueError(
                f"{section}.urls: leave name and password out of it; write api_key, which is "
                "never shown."
            )


def _shown(url: str) -> str:
    return repr(url.rpartition("@")[2][:200])
