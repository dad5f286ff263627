"""Searching a snapshot: planned, exact or by the graph, by words, fused."""
