"""Rate limits for work that no cache tier could answer.

The section `[plugin.limits]` turns the plugin on; each limit in it is off until it is set:

    [plugin.limits]
    margin = 0.9                         # steady share of a rate; the rest may come at once
    client = { requests_per_minute = 600, tokens_per_minute = 100_000 }   # each client, by name

    [plugin.limits.namespace.notes]      # all clients of a namespace together
    tokens_per_minute = 50_000

    [plugin.limits.adaptive]             # requests of a model at the same time, found by trying
    enabled = true
    min = 1
    max = 64

    [plugin.limits.quota]                # a day's allowance; survives a restart
    midnight = "local"                   # or "utc"
    client = { texts = 100_000 }
    namespace.notes = { tokens = 1_000_000 }

Cache hits are never limited. A request over a limit fails with RATE_LIMITED and the milliseconds
after which it fits; the Python clients wait for that by themselves. Each model has a concurrency
limit of its own. Clients are told apart by the name that they give in `hello`, which for a client
that gives none is the name of its process: limits keep friends from harming each other, they are
no defence against somebody who changes names.
"""
