"""Which storage the settings ask for."""

from __future__ import annotations

from fastopp.errors import FastOppError
from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.storage.local import LocalStorage


class StorageNotSupported(FastOppError):
    """STORAGE_TYPE is s3, but this version keeps uploaded files in a folder only."""

    hint = "Unset STORAGE_TYPE, or set it to filesystem; UPLOAD_DIR names the folder."


def open_storage(settings: Settings) -> Storage:
    """The storage of uploaded files. Touches no disk and no network. Raises StorageNotSupported."""
    if settings.storage_type == "s3":
        raise StorageNotSupported
    return LocalStorage(settings.upload_dir)
