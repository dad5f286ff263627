"""Forgetting: a walk over a server's names, in steps that hold up nobody else."""

from __future__ import annotations

from emberd_redis.keys import Names
from emberd_redis.library import check_answers
from emberd_redis.nodes import Node

__all__ = ["clear"]

_STEP = 1_000


def clear(node: Node, names: Names, namespace: str | None) -> int:
    """Forget a namespace's records on one server, or all of them; how many there were.

    It looks at every name there, also at those of others. Raises CacheUnavailableError.
    """
    pattern = names.pattern(namespace)
    cursor, gone = 0, 0
    while True:
        answers = node.run([("SCAN", cursor, "MATCH", pattern, "COUNT", _STEP)], is_write=True)
        check_answers(answers, node.address)
        cursor, found = answers[0]
        # One command a name: in a cluster the names of one server are of many slots.
        counts = node.run([("UNLINK", name) for name in names.are_ours(found)], is_write=True)
        check_answers(counts, node.address)
        gone += sum(count for count in counts if isinstance(count, int))
        if not int(cursor):
            return gone
