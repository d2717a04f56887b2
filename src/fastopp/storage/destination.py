"""The destination of backups, and the time limit of one within a request."""

from __future__ import annotations

from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.storage.object import ObjectStorage
from fastopp.storage.select import open_object_storage


def backup_storage(settings: Settings, storage: Storage | None = None) -> ObjectStorage:
    """The Object Storage that the S3_ variables name. Asks nothing of the network.

    Parameters
    ----------
    storage: the application's own; its connections are used if it keeps its files there, too.

    Raises
    ------
    NoObjectStorage
    """
    durable = storage.durable if storage else None
    return durable if isinstance(durable, ObjectStorage) else open_object_storage(settings)


def time_budget(settings: Settings) -> float | None:
    """Seconds that a backup within a request may take; None: as long as it needs."""
    return settings.platform.request_budget
