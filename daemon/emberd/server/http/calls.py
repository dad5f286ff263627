"""What a route is given, and how it asks the service."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from emberd.config import LimitSettings
from emberd.errors import EmberdError, InvalidParamsError
from emberd.server.http.counting import Outcome
from emberd.service.callers import Caller
from emberd.service.observation import amounts_of
from emberd.wire.snapshot import Snapshot

__all__ = ["Call", "Context", "ServiceLike", "renamed"]

_NAMESPACE = "X-Emberd-Namespace"
_DEADLINE = "X-Emberd-Deadline-Ms"


class ServiceLike(Protocol):
    """What the gateway needs of the service."""

    is_draining: bool

    def call(self, method: str, values: Sequence[Any], caller: Caller) -> Any:
        """The result, or a coroutine for it; raises EmberdError."""


@dataclass(frozen=True, slots=True)
class Context:
    """What all requests share."""

    service: ServiceLike
    limits: LimitSettings
    latest_snapshot: Callable[[], Snapshot]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read to its end."""

    context: Context
    caller: Caller
    headers: Mapping[str, str]
    body: bytes | bytearray
    tail: str = ""
    """What the path holds in the place of the route's parameter."""
    outcome: Outcome = field(default_factory=Outcome)

    async def ask(self, method: str, **params: Any) -> Any:
        """The service's answer; raises EmberdError."""
        result = self.context.service.call(method, [params], self.caller)
        if asyncio.iscoroutine(result):
            result = await result
        texts, tokens = amounts_of(method, result)
        if method == "embed":
            self.outcome.result = result
        self.outcome.texts += texts
        self.outcome.tokens += tokens
        return result

    def request_options(self) -> dict[str, Any]:
        """What a client of any dialect can say in headers: the namespace and a deadline."""
        options: dict[str, Any] = {}
        if namespace := self.headers.get(_NAMESPACE):
            options["namespace"] = namespace
        if deadline := self.headers.get(_DEADLINE):
            options["deadline_ms"] = _milliseconds(deadline)
        return options


def renamed(error: EmberdError, names: Mapping[str, str]) -> EmberdError:
    """The same error with the service's parameters told by the dialect's names for them."""
    field = str(error.details.get("field", ""))
    found = re.match(r"\w+", field)
    if found is None or found[0] not in names:
        return error
    own = names[found[0]] + field[found.end() :]
    message = error.message
    if message.startswith(found[0]):
        message = names[found[0]] + message[found.end() :]
    return type(error)(
        message, retry_after_ms=error.retry_after_ms, details={**error.details, "field": own}
    )


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise InvalidParamsError(
            f"{_DEADLINE}: {text!r} is not a number of milliseconds above 0.",
            details={"field": _DEADLINE},
        )
    return value
