"""A cache tier in Redis, shared between machines."""
