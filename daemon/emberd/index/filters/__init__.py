"""Filters over metadata: parsed into a tree, compiled into SQL. Nothing here does I/O."""

from emberd.index.filters.compile import Statement, compile_filter
from emberd.index.filters.nodes import Everything, Node
from emberd.index.filters.parse import parse_filter

__all__ = ["Everything", "Node", "Statement", "compile_filter", "parse_filter"]
