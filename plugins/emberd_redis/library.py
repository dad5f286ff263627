"""redis-py, which this module alone imports, and what it raises, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from emberd.errors import CacheUnavailableError

try:
    import redis
    from redis import exceptions as errors
    from redis.backoff import NoBackoff
    from redis.crc import key_slot
    from redis.retry import Retry
except ModuleNotFoundError as exc:
    raise ImportError(
        "The redis plugin needs redis-py, which is not installed: pip install 'emberd[redis]'."
    ) from exc

__all__ = [
    "NoBackoff",
    "Retry",
    "check_answers",
    "errors",
    "explain",
    "is_moving",
    "key_slot",
    "redis",
    "translated",
]

# The first that fits; several of these are ConnectionErrors to redis-py.
_WORDS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
    (
        (errors.AuthenticationError, errors.AuthenticationWrongNumberOfArgsError),
        "refuses the password; correct plugin.redis.username and plugin.redis.password",
    ),
    (
        errors.NoPermissionError,
        "does not let this user do it; it needs GET, MGET, SET, UNLINK and SCAN",
    ),
    (errors.BusyLoadingError, "is loading its data; it serves when that is done"),
    (
        errors.OutOfMemoryError,
        "is full; raise its maxmemory, or set maxmemory-policy to allkeys-lru",
    ),
    (errors.ReadOnlyError, "is a read-only replica; let plugin.redis.url name the primary"),
    (errors.ClusterDownError, "belongs to a cluster that is down; see CLUSTER INFO there"),
    (errors.MovedError, "belongs to a cluster; set plugin.redis.cluster to true"),
)


def explain(error: Exception, address: str) -> str:
    """What is wrong with the Redis at `address`, and what to do, in a sentence."""
    for kinds, words in _WORDS:
        if isinstance(error, kinds):
            return f"Redis at {address} {words}."
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if isinstance(error, errors.TimeoutError):
        return f"Redis at {address} does not answer in time ({said})."
    if isinstance(error, errors.ConnectionError):
        return f"Redis at {address} cannot be reached ({said})."
    return f"Redis at {address} answered: {said}."


@contextmanager
def translated(address: str) -> Iterator[None]:
    """Raises CacheUnavailableError for whatever redis-py raises."""
    try:
        yield
    except (errors.RedisError, OSError) as exc:
        raise CacheUnavailableError(explain(exc, address)) from exc


def is_moving(answer: object) -> bool:
    """Whether a cluster is just handing this name from one server to another."""
    return isinstance(answer, errors.AskError | errors.TryAgainError)


def check_answers(answers: Sequence[object], address: str) -> None:
    """Raises CacheUnavailableError for the first command that was refused. A write to what is
    being handed over is lost, and no fault."""
    for answer in answers:
        is_lost = isinstance(answer, errors.MovedError) or not is_moving(answer)
        if isinstance(answer, errors.ResponseError) and is_lost:
            raise CacheUnavailableError(explain(answer, address)) from answer
