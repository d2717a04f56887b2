"""The tasks that need an Object Storage: where there is none they are neither offered nor started."""

from __future__ import annotations

from fastopp.settings import Settings
from fastopp.storage.select import NoObjectStorage

NAMES = frozenset({"backup-files", "restore-files", "backup-database"})


def can_run(name: str, settings: Settings) -> bool:
    """Return whether the task has the storage that it needs, if it needs one."""
    return settings.has_object_storage or name not in NAMES


def check_storage(name: str, settings: Settings) -> None:
    """Raises NoObjectStorage when the task would do nothing but fail."""
    if not can_run(name, settings):
        raise NoObjectStorage
