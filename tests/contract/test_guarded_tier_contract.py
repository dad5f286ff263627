"""What the daemon puts around the tiers of plugins keeps their contract."""

from __future__ import annotations

import pytest

from emberd.cache.disk import LmdbOptions, LmdbTier
from emberd.plugins.guard import Guard
from emberd.plugins.tiers import GuardedTier
from emberd.testing import CacheTierContract


class TestGuardedTier(CacheTierContract):
    @pytest.fixture
    def tier(self, tmp_path):
        inner = LmdbTier.open(tmp_path, LmdbOptions(budget_bytes=16 << 20))
        tier = GuardedTier(inner, Guard("guarded"))
        yield tier
        tier.close()
