"""Direct uploads that were announced and are not complete, noted beside the files so that none is forgotten.

The note is an object of its own, in the folder of the bucket that holds no uploads. It goes before an upload counts as
complete. So what has a note is used by nobody, and once it is old enough nobody will complete it any more.
"""

from __future__ import annotations

from datetime import timedelta

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.storage.base import PresigningStorage, Storage
from fastopp.storage.keys import DEFAULT_CONTENT_TYPE
from fastopp.storage.sync.folder import RESERVED
from fastopp.storage.tiered import TieredStorage

FOLDER = f"{RESERVED}/announced/"
COMPLETE_WITHIN = timedelta(days=1)  # of the announcement: 5 GiB take half of it at 1 Mbit/s
ABANDONED_AFTER = timedelta(days=2)  # so that nothing goes that is being completed, whatever the clocks say

_CONTENT = b"This upload is not complete.\n"


async def note(storage: Storage, key: str) -> None:
    """Note that a file is about to be sent. Raises what `Storage.put` does."""
    await durable(storage).put(f"{FOLDER}{key}", _CONTENT, content_type=DEFAULT_CONTENT_TYPE)


async def forget(storage: Storage, key: str) -> None:
    """The upload is complete, or refused. Raises StorageUnavailable: then it is neither yet."""
    await durable(storage).delete(f"{FOLDER}{key}")


async def remove_abandoned(storage: Storage, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Remove what was sent and never completed: how many uploads that were."""
    if not isinstance(storage, PresigningStorage):
        return 0
    before = clock.now() - ABANDONED_AFTER
    notes = [file.key async for file in durable(storage).list(FOLDER) if file.modified < before]
    for noted in notes:
        key = noted.removeprefix(FOLDER)
        await storage.delete(key)
        await forget(storage, key)
    return len(notes)


def durable(storage: Storage) -> Storage:
    """The storage without the cache in front of it, which would keep what is read once."""
    return storage.durable if isinstance(storage, TieredStorage) else storage
