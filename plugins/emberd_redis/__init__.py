"""A cache tier in Redis, shared between machines.

`plugin.py` is the entry point; `tier.py` the tier; `servers.py` and `slots.py` find the servers and
carry commands to them; `flight.py` lets one machine compute for all.
"""
