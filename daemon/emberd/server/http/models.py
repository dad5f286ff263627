"""The models that a client can name, as the service lists them."""

from __future__ import annotations

from typing import Literal

import msgspec

from emberd.errors import ModelNotFoundError
from emberd.models.catalog import canonical_name
from emberd.server.http.calls import Call

__all__ = ["ModelRow", "default_model", "find_model", "here", "list_models"]


class ModelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `models.list`; what the dialects tell of a model."""

    name: str
    state: Literal["loaded", "failed", "stored", "available"]
    dim: int
    max_tokens: int
    fingerprint: str | None = None
    precision: str = "exact"
    is_default: bool = False
    size_bytes: int | None = None
    pooling: str | None = None


async def list_models(call: Call) -> list[ModelRow]:
    """Every model that is loaded, stored or can be fetched."""
    return msgspec.convert(await call.ask("models.list"), list[ModelRow])


def here(models: list[ModelRow]) -> list[ModelRow]:
    """Those on this machine, and the default even where it is still to be fetched."""
    return [model for model in models if model.is_default or model.state != "available"]


def default_model(models: list[ModelRow]) -> ModelRow:
    """The model of requests that name none. Raises ModelNotFoundError where there is none."""
    for model in models:
        if model.is_default:
            return model
    raise ModelNotFoundError("The default model is not here. `emberd models list` shows those.")


def find_model(models: list[ModelRow], name: str) -> ModelRow:
    """The model on this machine of that name or alias. Raises ModelNotFoundError."""
    known = here(models)
    for model in known:
        if model.name == canonical_name(name):
            return model
    raise ModelNotFoundError(
        f"There is no model {name!r} here. Models here: "
        f"{', '.join(model.name for model in known) or 'none yet'}.",
        details={"field": "model"},
    )
