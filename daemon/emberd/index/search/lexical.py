"""The full text half of a hybrid search: FTS5's bm25 over the words of the query."""

from __future__ import annotations

from emberd.index.filters import Node, compile_filter
from emberd.index.metadata import Scalar
from emberd.index.search.words import choose_terms, match_expression, terms_of
from emberd.index.store.snapshot import Snapshot

__all__ = ["search_words"]

_FREQUENCIES = "SELECT term, doc FROM vocabulary WHERE term IN (SELECT value FROM json_each(?))"


def search_words(
    snapshot: Snapshot, query: str, limit: int, where: Node | None
) -> list[tuple[int, float]]:
    """`(label, bm25)` of the documents with words of the query, best first; more is better.

    Raises sqlite3.Error where the index is damaged.
    """
    terms = terms_of(query)
    frequencies = {
        term: int(count)
        for each in terms
        for term, count in snapshot.execute(
            "SELECT term, doc FROM vocabulary WHERE term = ?", [each]
        )
    }
    chosen = choose_terms(terms, frequencies, snapshot.view.count)
    if not chosen:
        return []
    values: list[Scalar] = [match_expression(chosen)]
    sql = "SELECT rowid, -rank FROM words WHERE words MATCH ?"
    if where is not None:
        allowed, bound = compile_filter(where)
        sql += f" AND rowid IN ({allowed})"
        values += bound
    rows = snapshot.execute(f"{sql} ORDER BY rank LIMIT ?", [*values, limit])
    return [(int(label), float(score)) for label, score in rows]
