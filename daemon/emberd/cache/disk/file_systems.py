"""Which file systems can hold a memory-mapped database.

LMDB needs locks and a map that agree with the file at once; network file systems promise neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePath

import psutil

from emberd.errors import CacheUnavailableError

__all__ = ["file_system_of", "is_network", "refuse_network_file_system"]

_NETWORK = frozenset(
    {
        "9pfs-remote", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs", "gfs2",
        "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs3", "nfs4", "ocfs2", "smb2", "smb3",
        "smbfs", "webdav",
    }
)  # fmt: skip
# FUSE names carry the program: fuse.sshfs. Local ones (fuse-overlayfs, mergerfs) are welcome, and
# so is 9p, which virtual machines and containers use for folders of their own host.
_NETWORK_FUSE = frozenset(
    {
        "blobfuse", "ceph", "ceph-fuse", "curlftpfs", "davfs", "gcsfuse", "glusterfs", "goofys",
        "juicefs", "lustre", "moosefs", "nfs", "rclone", "s3fs", "smbnetfs", "sshfs",
    }
)  # fmt: skip


def is_network(kind: str) -> bool:
    """Is this file system type (as the mount table spells it) one across a network?"""
    name = kind.lower()
    if name.startswith(("fuse.", "fuseblk.")):
        return name.partition(".")[2] in _NETWORK_FUSE
    return name in _NETWORK


def file_system_of(path: PurePath, mounts: Iterable[tuple[str, str]]) -> str:
    """The type of the deepest `(mount point, type)` above an absolute path, "" if there is none.

    Of two mounts on one point the later one counts: it hides the other.
    """
    deepest, found = -1, ""
    for point, kind in mounts:
        depth = len(PurePath(point).parts)
        if depth >= deepest and path.is_relative_to(point):
            deepest, found = depth, kind
    return found


def refuse_network_file_system(folder: Path) -> None:
    """Raises CacheUnavailableError where the folder is on a network file system."""
    mounts = [(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]
    kind = file_system_of(folder.resolve(), mounts)
    if is_network(kind):
        raise CacheUnavailableError(
            f"{folder} is on a network file system ({kind}), which cannot hold the cache safely. "
            "Set EMBERD_HOME to a folder on a local disk, or set cache.disk_mib to 0.",
            details={"path": str(folder), "file_system": kind},
        )
