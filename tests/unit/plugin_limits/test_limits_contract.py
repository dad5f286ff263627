from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from emberd.plugins import RateLimiter
from emberd.testing.rate_limiter import RateLimiterContract
from emberd_limits.adaptive import AdaptiveConcurrency
from emberd_limits.quota import DailyQuota
from emberd_limits.rates import RateLimits
from emberd_limits.settings import (
    AdaptiveSettings,
    Allowance,
    LimitsSettings,
    QuotaSettings,
    Rate,
)


class TestRates(RateLimiterContract):
    refuses_within = 61

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        rate = Rate(requests_per_minute=60, tokens_per_minute=10_000)
        return RateLimits(LimitsSettings(client=rate))


class TestRatesOfNamespaces(RateLimiterContract):
    refuses_within = 61

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        rate = Rate(requests_per_minute=60, tokens_per_minute=10_000)
        return RateLimits(LimitsSettings(namespace={"default": rate}))


class TestConcurrency(RateLimiterContract):
    refuses_within = 3

    @pytest.fixture
    def limiter(self) -> RateLimiter:
        return AdaptiveConcurrency(AdaptiveSettings(enabled=True))


class TestQuota(RateLimiterContract):
    refuses_within = 51

    @pytest.fixture
    def limiter(self, tmp_path: Path) -> Iterator[RateLimiter]:
        settings = QuotaSettings(
            client=Allowance(texts=50), namespace={"default": Allowance(tokens=1_000_000)}
        )
        quota = DailyQuota(settings, tmp_path / "quota.json", logging.getLogger("test"))
        yield quota
        quota.close()
