"""The HTTP gateway: three dialects of embeddings, health and metrics, off unless `http.port` is
set. Importing it loads aiohttp, so only a daemon that serves HTTP does."""

from emberd.server.http.gateway import Gateway

__all__ = ["Gateway"]
