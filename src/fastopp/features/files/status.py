"""Count uploaded files in each place, and list those that no row names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.storage.select import NoObjectStorage, backup_storage
from fastopp.storage.sync.cached_copies import count_copies
from fastopp.storage.sync.folder import count_files

if TYPE_CHECKING:
    from fastopp.core.runtime import Runtime


@dataclass(frozen=True, slots=True)
class Place:
    """A place with files."""

    kind: str
    name: str
    files: int
    size: int
    """Bytes."""
    details: dict[str, str]
    """Its location, for programs."""


@dataclass(slots=True)
class FilesStatus:
    """The report of `oppman.py files status`."""

    places: list[Place] = field(default_factory=list)
    unclaimed: list[str] = field(default_factory=list)
    """Keys of the files that no row of the project names."""
    unclaimed_size: int = 0
    """Bytes."""
    unknown: str = ""
    """The reason why unclaimed files could not be listed."""

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        answer: dict[str, Any] = {
            place.kind: place.details | {"files": place.files, "bytes": place.size} for place in self.places
        }
        keys = {"files": len(self.unclaimed), "bytes": self.unclaimed_size, "keys": self.unclaimed}
        return answer | {"unclaimed": {"unknown": self.unknown} if self.unknown else keys}


async def read_status(runtime: Runtime) -> FilesStatus:
    """Count the files in each place, and find those that no row names.

    Raises
    ------
    What `ObjectStorage.usage` and `Storage.list` do.
    """
    from fastopp.storage.sweep import find_unclaimed  # noqa: PLC0415 - imports SQLAlchemy, which `--help` does not need

    settings, found = runtime.settings, FilesStatus()
    folder = str(settings.upload_dir)
    found.places.append(Place("folder", folder, *count_files(settings.upload_dir), {"folder": folder}))
    if cache := runtime.storage.cache:
        copies = count_copies(cache.folder)
        found.places.append(Place("cache", f"cache {cache.folder}", *copies, {"folder": str(cache.folder)}))
    try:
        usage = await backup_storage(settings, runtime.storage).usage()
    except NoObjectStorage:
        pass
    else:
        bucket = settings.s3_bucket
        found.places.append(Place("object_storage", f"bucket {bucket}", *usage, {"bucket": bucket}))
    try:
        async for file in find_unclaimed(runtime.database.engine, runtime.storage, clock=runtime.clock):
            found.unclaimed.append(file.key)
            found.unclaimed_size += file.size
    except (DatabaseUnavailable, TablesMissing) as error:
        found.unknown = str(error)
    return found
