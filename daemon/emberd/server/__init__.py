"""The process: start, lock, listeners, sessions, drain, shutdown."""
