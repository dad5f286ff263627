"""Rate limits: requests and tokens a minute, concurrency that adapts, quotas a day."""
