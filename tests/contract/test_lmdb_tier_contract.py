from __future__ import annotations

import pytest

from emberd.cache.disk import LateLmdbTier, LmdbOptions, LmdbTier
from emberd.testing import CacheTierContract

OPTIONS = LmdbOptions(budget_bytes=16 << 20)


class TestLmdbTier(CacheTierContract):
    @pytest.fixture
    def tier(self, tmp_path):
        tier = LmdbTier.open(tmp_path, OPTIONS)
        yield tier
        tier.close()


class TestLateLmdbTier(CacheTierContract):
    @pytest.fixture
    def tier(self, tmp_path):
        tier = LateLmdbTier(tmp_path, OPTIONS)
        assert tier.wait(30)
        yield tier
        tier.close()
