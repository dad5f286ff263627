"""Write the golden data directory of the cache's format: `python tests/compat/write_cache_data.py`.

Run it once for each new format, and keep the old directories: later versions must open them.
"""

from __future__ import annotations

import sys
from hashlib import blake2b
from pathlib import Path

from emberd.cache.disk import LmdbOptions, LmdbTier
from emberd.records.tables import FORMAT

NAMES = range(12)
NAMESPACES = ("default", "équipe")
SIZES = (772, 1_540, 5_000)
WRITTEN_AT = 1_700_000_000.0


def item(namespace: str, name: int) -> tuple[bytes, bytes]:
    """The pair that every golden directory holds for a name, spelt out of its hash."""
    seed = blake2b(f"{namespace} {name}".encode(), digest_size=64).digest()
    size = SIZES[name % len(SIZES)] if name < 3 else SIZES[0]
    return seed[:16], (seed * (size // 64 + 1))[:size]


def write(folder: Path) -> None:
    tier = LmdbTier.open(folder, LmdbOptions(budget_bytes=1 << 20, clock=lambda: WRITTEN_AT))
    for namespace in NAMESPACES:
        tier.set_many(namespace, [item(namespace, name) for name in NAMES])
    tier.delete_many(NAMESPACES[0], [item(NAMESPACES[0], 0)[0]])
    tier.close()
    (folder / "lmdb" / "lock.mdb").unlink()  # LMDB makes it anew


if __name__ == "__main__":
    target = Path(__file__).parent / "data" / f"cache-v{FORMAT}"
    if target.exists():
        sys.exit(f"{target} is there already. Golden data is never rewritten.")
    write(target)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"{target}: {size} bytes")
