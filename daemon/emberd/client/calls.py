"""Every call of the clients, written once as steps: arguments in, a typed result out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from msgspec import UNSET

from emberd.client.replies import read, vectors_of
from emberd.client.results import PluginInfo
from emberd.client.settings import ClientSettings, Timeout
from emberd.client.steps import Await, Greet, Sleep, Start, Steps
from emberd.errors import (
    ConnectionLostError,
    DeadlineExceededError,
    EmberdError,
    RateLimitedError,
    RequestTimeoutError,
)
from emberd.wire.hello import Welcome
from emberd.wire.insight import CacheInspection, HistoryColumns, LogLines, RequestRows, TopTexts
from emberd.wire.snapshot import CacheStats, PluginStats, Snapshot

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "Call",
    "cache_clear",
    "cache_inspect",
    "cache_stats",
    "cache_top",
    "deadline_ms",
    "given",
    "hello",
    "logs_tail",
    "models_list",
    "models_load",
    "models_unload",
    "ping",
    "plugins_check",
    "plugins_disable",
    "plugins_enable",
    "plugins_info",
    "plugins_list",
    "request",
    "requests_list",
    "shutdown",
    "similarity",
    "snapshot_of",
    "stats",
    "stats_history",
]

_GREET = Greet()
_LOAD_TIMEOUT_S = 600.0  # a model may have to be fetched first


class Call:
    """One request: sent, waited for, tried again as the policy says."""

    __slots__ = (
        "_deadline",
        "_has_deadline_param",
        "_limits",
        "_limits_waited_s",
        "_losses",
        "_method",
        "_params",
        "_refusals",
        "_settings",
        "_ticket",
        "_timeout_s",
    )

    def __init__(
        self,
        settings: ClientSettings,
        method: str,
        params: Mapping[str, Any],
        timeout_s: Timeout = UNSET,
        *,
        has_deadline_param: bool = False,
    ) -> None:
        self._settings = settings
        self._method = method
        self._params = params
        self._timeout_s = settings.limit_s(timeout_s)
        self._has_deadline_param = has_deadline_param
        self._deadline: float | None = None
        self._ticket: Any = None
        self._losses = 0
        self._refusals = 0
        self._limits = 0
        self._limits_waited_s = 0.0

    def run(self) -> Steps[Any]:
        """Send it and wait for its result."""
        yield from self.start()
        return (yield from self.finish())

    def try_again(self, error: EmberdError, deadline: float | None) -> Steps[Any]:
        """What follows the error of a first try that was made without steps: the result of another
        one until `deadline`, or the error."""
        self._deadline = deadline
        if isinstance(error, DeadlineExceededError):
            self._raise_timeout(error)
        yield from self._pause(error)
        yield from self._send()
        return (yield from self.finish())

    def start(self) -> Steps[None]:
        """Send it. The timeout runs from here, once there is a connection, over every retry."""
        yield from self._send()

    def finish(self) -> Steps[Any]:
        """The result."""
        while True:
            try:
                return (yield Await(self._ticket, self._deadline))
            except DeadlineExceededError as exc:
                self._raise_timeout(exc)
            except EmberdError as exc:
                self.abandon()  # after a timeout; a reply leaves nothing to give up
                yield from self._pause(exc)
                yield from self._send()
            except BaseException:  # cancelled, Ctrl-C, or the caller has gone
                self.abandon()
                raise

    def _raise_timeout(self, error: DeadlineExceededError) -> NoReturn:
        """The daemon's word for our own timeout."""
        if not self._has_deadline_param or self._deadline is None:
            raise error
        raise RequestTimeoutError(error.message, details=error.details) from error

    def abandon(self) -> None:
        """Give up; does nothing where the reply is there."""
        if self._ticket is not None:
            self._ticket.abandon()

    def _send(self) -> Steps[None]:
        while True:
            try:
                yield _GREET  # starting a daemon has its own time limit
                if self._deadline is None and self._timeout_s is not None:
                    self._deadline = time.monotonic() + self._timeout_s
                self._ticket = yield Start(self._method, self._wire_params(), self._deadline)
            except EmberdError as exc:
                yield from self._pause(exc)
            else:
                return

    def _wire_params(self) -> Mapping[str, Any]:
        if not self._has_deadline_param or self._deadline is None:
            return self._params
        return {**self._params, "deadline_ms": deadline_ms(self._deadline - time.monotonic())}

    def _pause(self, error: EmberdError) -> Steps[None]:
        """Wait until the next try, or raise `error` where there is none."""
        is_limit = isinstance(error, RateLimitedError)
        if isinstance(error, ConnectionLostError):
            self._losses += 1
        elif is_limit:
            self._limits += 1
        else:
            self._refusals += 1
        delay_s = self._settings.policy.delay_s(
            error,
            self._method,
            self._losses,
            self._limits if is_limit else self._refusals,
            self._limits_waited_s,
        )
        if delay_s is None:
            raise error
        if delay_s:
            if self._deadline is not None and time.monotonic() + delay_s >= self._deadline:
                raise error
            self._limits_waited_s += delay_s if is_limit else 0.0
            yield Sleep(delay_s)


def deadline_ms(left_s: float) -> int:
    """What the daemon is told of the time that is left."""
    return max(int(left_s * 1_000), 1)


def request(
    settings: ClientSettings,
    method: str,
    params: Mapping[str, Any],
    timeout_s: Timeout = UNSET,
) -> Steps[Any]:
    """Any method, with its plain result."""
    return Call(settings, method, params, timeout_s).run()


def hello(settings: ClientSettings) -> Steps[Welcome]:
    """What the daemon said when this client connected."""
    try:
        welcome: Welcome = yield _GREET
    except ConnectionLostError:  # a daemon on its way out; the next one may be there
        if not settings.policy.retries:
            raise
        welcome = yield Greet()
    return welcome


def ping(settings: ClientSettings, timeout_s: Timeout) -> Steps[str]:
    """Round trip; "pong"."""
    return str((yield from request(settings, "ping", {}, timeout_s)))


def similarity(
    settings: ClientSettings,
    a: str | Sequence[str],
    b: str | Sequence[str],
    timeout_s: Timeout,
    **options: Any,
) -> Steps[NDArray[np.float32]]:
    """Cosines, (len(a), len(b)) float32."""
    rows, columns = [[side] if isinstance(side, str) else list(side) for side in (a, b)]
    params = {"a": rows, "b": columns, **given(options)}
    call = Call(settings, "similarity", params, timeout_s, has_deadline_param=True)
    result = yield from call.run()
    return vectors_of(read(result, dict[str, Any]).get("scores"), len(rows))


def cache_stats(settings: ClientSettings) -> Steps[CacheStats]:
    """The cache's part of the latest snapshot."""
    return read((yield from request(settings, "cache.stats", {})), CacheStats)


def cache_clear(settings: ClientSettings, namespace: str | None) -> Steps[dict[str, int]]:
    """Records removed, by tier."""
    result = yield from request(settings, "cache.clear", {"namespace": namespace})
    return read(result, dict[str, int])


def cache_inspect(settings: ClientSettings, text: str, **options: Any) -> Steps[CacheInspection]:
    """What each tier has of a text."""
    params = {"text": text, **given(options)}
    return read((yield from request(settings, "cache.inspect", params)), CacheInspection)


def cache_top(settings: ClientSettings, **options: Any) -> Steps[TopTexts]:
    """The texts of a namespace with the most hits."""
    return read((yield from request(settings, "cache.top", given(options))), TopTexts)


def models_list(settings: ClientSettings) -> Steps[list[dict[str, Any]]]:
    """One map a model."""
    return read((yield from request(settings, "models.list", {})), list[dict[str, Any]])


def models_load(
    settings: ClientSettings, name: str, timeout_s: Timeout = UNSET
) -> Steps[dict[str, Any]]:
    """The loaded model's name, fingerprint, dim and max_tokens."""
    limit_s = _LOAD_TIMEOUT_S if timeout_s is UNSET else timeout_s
    result = yield from request(settings, "models.load", {"name": name}, limit_s)
    return read(result, dict[str, Any])


def models_unload(settings: ClientSettings, name: str) -> Steps[bool]:
    """Let go of a model; False where it was not in memory."""
    reply = read((yield from request(settings, "models.unload", {"name": name})), dict[str, Any])
    return bool(reply.get("unloaded"))


def plugins_list(settings: ClientSettings) -> Steps[list[PluginStats]]:
    """Every plugin that the daemon knows, by name."""
    return read((yield from request(settings, "plugins.list", {})), list[PluginStats])


def plugins_info(settings: ClientSettings, name: str) -> Steps[PluginInfo]:
    """One plugin, with its settings, hooks and folder."""
    return read((yield from request(settings, "plugins.info", {"name": name})), PluginInfo)


def plugins_enable(settings: ClientSettings, name: str) -> Steps[PluginStats]:
    """Bring a plugin back; its figures then."""
    return read((yield from request(settings, "plugins.enable", {"name": name})), PluginStats)


def plugins_disable(settings: ClientSettings, name: str) -> Steps[PluginStats]:
    """Leave a plugin out from now on; its figures then."""
    return read((yield from request(settings, "plugins.disable", {"name": name})), PluginStats)


def plugins_check(settings: ClientSettings, name: str | None) -> Steps[list[PluginStats]]:
    """The figures of the plugins that were checked."""
    result = yield from request(settings, "plugins.check", {"name": name})
    return read(result, list[PluginStats])


def stats(settings: ClientSettings, *, fresh: bool) -> Steps[Snapshot]:
    """The latest snapshot, or the next one."""
    params = {"fresh": True} if fresh else {}
    return snapshot_of((yield from request(settings, "stats", params)))


def stats_history(settings: ClientSettings, window_s: float) -> Steps[HistoryColumns]:
    """The figures of the last `window_s` seconds."""
    result = yield from request(settings, "stats.history", {"window_s": window_s})
    return read(result, HistoryColumns)


def logs_tail(settings: ClientSettings, lines: int, **options: Any) -> Steps[LogLines]:
    """Records of the daemon's log."""
    params = {"lines": lines, **given(options)}
    return read((yield from request(settings, "logs.tail", params)), LogLines)


def requests_list(settings: ClientSettings, kind: str, **options: Any) -> Steps[RequestRows]:
    """Requests of late."""
    params = {"kind": kind, **given(options)}
    return read((yield from request(settings, "requests.list", params)), RequestRows)


def shutdown(settings: ClientSettings) -> Steps[None]:
    """Ask the daemon to leave."""
    yield from request(settings, "shutdown", {})


def snapshot_of(value: Any) -> Snapshot:
    """A snapshot from the wire. Raises ProtocolError."""
    return read(value, Snapshot)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; the rest is the daemon's own default."""
    return {name: value for name, value in options.items() if value is not None}
