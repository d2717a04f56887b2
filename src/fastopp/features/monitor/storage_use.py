"""The room that uploaded files take, against the quota of the Object Storage or the size of the disk."""

from __future__ import annotations

import asyncio
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastopp.core.runtime import Runtime
from fastopp.storage.select import NoObjectStorage, backup_storage
from fastopp.storage.sync.folder import count_files

KEPT_FOR: Final = 600.0  # seconds: counting a bucket is a request for each 1,000 files

_KEY: Final = ("monitor", "storage")


@dataclass(frozen=True, slots=True)
class StorageUse:
    """A place with files, as it was counted."""

    place: str
    """`bucket` or `folder`."""
    files: int
    size: int
    """Bytes."""
    max_files: float | None
    max_size: float | None
    """The quota, or the bytes that the folder may have before the disk is full; None for no limit."""
    counted_at: float
    """Seconds since 1970."""

    @property
    def share(self) -> float:
        """The part that is used: from 0 to 1, or more."""
        used = ((self.files, self.max_files), (self.size, self.max_size))
        return max((part / limit for part, limit in used if limit), default=0.0)

    def as_json(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "place": self.place,
            "files": self.files,
            "bytes": self.size,
            "max_files": self.max_files,
            "max_bytes": self.max_size,
            "share": self.share,
            "counted_at": self.counted_at,
        }


def known_use(runtime: Runtime) -> StorageUse | None:
    """Return what was counted in the last ten minutes, if anything was."""
    found = runtime.cache.get(*_KEY)
    return found if isinstance(found, StorageUse) else None


async def storage_use(runtime: Runtime) -> StorageUse:
    """Count the files, or return what was counted in the last ten minutes. Raises StorageUnavailable."""
    found = known_use(runtime) or await _count(runtime)
    runtime.cache.keep(*_KEY, value=found, lifetime=max(1.0, KEPT_FOR + found.counted_at - runtime.clock.time()))
    return found


async def _count(runtime: Runtime) -> StorageUse:
    now = runtime.clock.time()
    try:
        storage = backup_storage(runtime.settings, runtime.storage)
    except NoObjectStorage:
        return await asyncio.to_thread(_of_folder, runtime.settings.upload_dir, now)
    usage, quota = await storage.usage(), storage.quota
    max_files, max_size = (quota.files, quota.size) if quota else (math.inf, math.inf)
    return StorageUse("bucket", usage.files, usage.size, _finite(max_files), _finite(max_size), now)


def _of_folder(folder: Path, now: float) -> StorageUse:
    files, size = count_files(folder)
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return StorageUse("folder", files, size, None, float(size + shutil.disk_usage(there).free), now)


def _finite(limit: float) -> float | None:
    return limit if math.isfinite(limit) else None
