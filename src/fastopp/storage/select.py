"""Choose the storage that the settings name. Opening one touches no disk and no network."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import Conflict
from fastopp.platforms.detection import object_storage_platform
from fastopp.settings import Settings
from fastopp.storage.addresses import public_addresses
from fastopp.storage.base import Storage
from fastopp.storage.disk import CACHE_FOLDER
from fastopp.storage.local import LocalStorage

if TYPE_CHECKING:
    from fastopp.storage.object import ObjectStorage

MB = 1_000_000  # bytes, as plans count


class NoObjectStorage(Conflict):
    """No Object Storage is set up."""

    hint = "Set S3_ACCESS_KEY, S3_SECRET_KEY and S3_BUCKET."


def open_storage(settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Storage:
    """The storage of uploaded files: a folder, or an Object Storage with a cache in front of it."""
    addresses = public_addresses(settings)
    if not settings.uses_object_storage:
        return LocalStorage(settings.upload_dir, addresses=addresses, clock=clock)
    from fastopp.storage.cache.file_cache import FileCache  # noqa: PLC0415 - only where there is an Object Storage
    from fastopp.storage.tiered import TieredStorage  # noqa: PLC0415 - as above

    # Apart from files that are in UPLOAD_DIR for good, since files in a cache's folder may be removed.
    cache = FileCache(settings.upload_dir / CACHE_FOLDER, settings.storage_cache_max_mb * MB, clock=clock)
    return TieredStorage(cache, open_object_storage(settings, clock=clock), addresses=addresses, clock=clock)


def backup_storage(settings: Settings, storage: Storage | None = None) -> ObjectStorage:
    """The Object Storage that the S3_ variables name. Asks nothing of the network.

    Parameters
    ----------
    storage: the application's own; its connections are used if it keeps its files there, too.

    Raises
    ------
    NoObjectStorage
    """
    if not settings.has_object_storage:
        raise NoObjectStorage
    from fastopp.storage.object import ObjectStorage  # noqa: PLC0415 - only where there is an Object Storage

    durable = storage.durable if storage else None
    return durable if isinstance(durable, ObjectStorage) else open_object_storage(settings)


def open_object_storage(settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> ObjectStorage:
    """Return the Object Storage that the S3_ variables name, regardless of STORAGE_TYPE. Raises NoObjectStorage."""
    from fastopp.storage.object import ObjectStorage  # noqa: PLC0415 - 16 ms for those who use it
    from fastopp.storage.s3.quota import Quota  # noqa: PLC0415 - as above

    if not settings.has_object_storage:
        raise NoObjectStorage
    plan = object_storage_platform(settings.s3_endpoint_url)
    files = settings.s3_quota_files
    size = None if settings.s3_quota_mb is None else settings.s3_quota_mb * MB
    if plan:
        files = plan.object_storage_files if files is None else files
        size = plan.object_storage_size if size is None else size
    return ObjectStorage(
        settings.s3_bucket,
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key.get_secret_value(),
        secret_key=settings.s3_secret_key.get_secret_value(),
        cdn_url=settings.s3_cdn_url,
        quota=Quota(files or math.inf, size or math.inf) if files or size else None,
        clock=clock,
    )
