"""The cache's format: keys, rows and values, shared by the daemon, which writes them, and by
clients that read them in their own process."""
