"""What a client was made with; shared by all its calls and connections."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from emberd.client.retry import RetryPolicy
from emberd.wire.hello import PROTOCOL_VERSION

__all__ = ["ClientSettings", "Timeout"]

Timeout = float | msgspec.UnsetType | None
"""Seconds; None waits for ever; unset takes the client's own."""


class ClientSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The constructor's arguments."""

    namespace: str = "default"
    token: str | None = None
    timeout_s: float | None = 60.0
    name: str | None = None
    policy: RetryPolicy = RetryPolicy()

    @classmethod
    def of(
        cls,
        namespace: str,
        token: str | None,
        timeout_s: float | None,
        name: str | None,
        retries: int,
        rate_limit_wait_s: float,
    ) -> ClientSettings:
        """The settings of a constructor's arguments."""
        policy = RetryPolicy(retries, rate_limit_wait_s)
        return cls(namespace=namespace, token=token, timeout_s=timeout_s, name=name, policy=policy)

    def hello(self) -> dict[str, Any]:
        """The params of `hello`; the pid is of the moment, since a process may fork."""
        params: dict[str, Any] = {
            "client": self.name or Path(sys.argv[0] or "python").name,
            "protocol": [PROTOCOL_VERSION, PROTOCOL_VERSION],
            "namespace": self.namespace,
            "pid": os.getpid(),
        }
        if self.token is not None:
            params["token"] = self.token
        return params

    def limit_s(self, timeout_s: Timeout) -> float | None:
        """The timeout that holds for a call."""
        return self.timeout_s if timeout_s is msgspec.UNSET else timeout_s

    def deadline(self) -> float | None:
        """The end of the client's own timeout, from now, on the clock of time.monotonic."""
        return None if self.timeout_s is None else time.monotonic() + self.timeout_s

    def silence_s(self, interval_s: float) -> float | None:
        """How long a subscription may be silent before it counts as dead."""
        return None if self.timeout_s is None else self.timeout_s + interval_s
