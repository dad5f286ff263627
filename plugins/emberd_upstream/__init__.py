"""Models of other embedding servers, behind emberd's cache.

`plugin.py` is the entry point; `embedder.py` one model and its endpoints; `endpoint.py` one server
with its retries, breaker and rate; `dialects.py` what the three kinds of servers speak;
`transport.py` the connections.
"""
