"""Photos that belong to rows: the database and the storage never disagree, even after a failure.

    photo = await process_photo(data)
    url = await store_photo(session, storage, photo)  # before the session's first query: no connection waits for it
    registrant = await find(session, ...)
    remove_photo(session, storage, registrant.photo_url)
    registrant.photo_url = url

See `fastopp.storage.file_changes` for what happens to the files when the transaction ends.
"""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.storage import deadlines
from fastopp.storage.addresses import key_at
from fastopp.storage.base import Storage
from fastopp.storage.file_changes import FileChanges
from fastopp.storage.images import Photo
from fastopp.storage.keys import new_key

PHOTOS = "photos"


async def store_photo(session: AsyncSession, storage: Storage, photo: Photo) -> str:
    """Store a photo and return its URL, for the caller to write into a row within `session`'s next transaction.

    Call it before the session's first query: then no connection is held meanwhile, and the upload is recorded, so that
    even a killed process leaves nothing for good. If the transaction is not committed, the photo is removed. Use
    `remove_photo` for the one that it takes the place of, from the row read `with_for_update()`.

    Raises
    ------
    StorageFull, StorageUnavailable: and nothing has changed. RuntimeError: a transaction has begun already; end it
    with `await session.rollback()`.
    """
    if session.in_transaction():
        raise RuntimeError("Store a photo before the transaction begins: `await session.rollback()` ends an open one.")
    key = new_key(PHOTOS, photo.extension)
    async with deadlines.within(deadlines.UPLOAD):
        await FileChanges.of(session, storage).put(key, photo.data, content_type=photo.content_type)
    return storage.url(key)


async def replace_photo(session: AsyncSession, storage: Storage, photo: Photo, *, old_url: str | None = None) -> str:
    """Store a photo in place of the one at `old_url`, which is removed once the transaction is committed.

    The transaction stays open while the storage is waited for: prefer `store_photo` and `remove_photo`. Read the row
    `with_for_update()`, so that of two who replace a photo the second sees the first's.

    Raises
    ------
    StorageFull, StorageUnavailable: and nothing has changed.
    """
    key = new_key(PHOTOS, photo.extension)
    await FileChanges.of(session, storage).put(key, photo.data, content_type=photo.content_type)
    remove_photo(session, storage, old_url)
    return storage.url(key)


def remove_photo(session: AsyncSession, storage: Storage, url: str | None) -> None:
    """Remove the photo at `url` once `session`'s transaction, in which the row forgets it, is committed."""
    FileChanges.of(session, storage).delete(key_at(storage, url))
