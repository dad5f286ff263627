"""From a person's files to the documents of a collection: walk, read, cut, compare, write.

>>> from emberd import Client
>>> from emberd.ingest import index_files
>>> index_files(Client(), "docs", ["./docs"]).counts["new"]
12
"""

from __future__ import annotations

from emberd.ingest.indexing import check_request, index_files
from emberd.ingest.report import Failure, IndexOptions, Progress, Summary

__all__ = ["Failure", "IndexOptions", "Progress", "Summary", "check_request", "index_files"]
