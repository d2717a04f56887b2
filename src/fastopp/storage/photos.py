"""Photos that belong to rows: the database and the storage never disagree, even after a failure.

    book = await session.get_one(Book, book_id)
    await photos.replace(session, storage, book, "cover_url", data)

See `fastopp.storage.file_changes` for what happens to the files when the transaction ends.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import NotFound
from fastopp.storage import deadlines, evidence
from fastopp.storage.addresses import key_at
from fastopp.storage.base import Storage
from fastopp.storage.file_changes import FileChanges
from fastopp.storage.images import Photo, process_photo
from fastopp.storage.keys import new_key
from fastopp.storage.sweep import run
from fastopp.storage.tracking import has_changes

PHOTOS = "photos"


class RowGone(NotFound):
    """The record that the photo belongs to has been deleted."""


async def replace(session: AsyncSession, storage: Storage, row: Any, column: str, data: bytes) -> str:  # noqa: ANN401 - a row of any model
    """Check a picture, store it in place of the one that a row names, and return its URL.

    The transaction in which the row was read is ended first, so that no connection waits for the picture and the
    storage. The row keeps its values and is written in the next transaction, which also removes the old photo. Of
    two who replace a photo at once, the second removes the first's. A row that is not in the database yet gets its
    URL; add it afterwards.

    Parameters
    ----------
    column: the attribute with the URL.
    data: the picture as it was sent.

    Raises
    ------
    RowGone; what `process_photo` raises; StorageFull, StorageUnavailable: and nothing has changed. RuntimeError: the
    session has changed something already. Replace the photo first, or commit.
    """
    if has_changes(session.sync_session):
        raise RuntimeError("Replace a photo before the session changes anything else, or commit first.")
    identity, old = inspect(row).identity, getattr(row, column)
    await session.commit()
    url = await store_photo(session, storage, await process_photo(data))
    if identity is not None:
        remove_photo(session, storage, await _exchange(session, row, identity, column, old, url))
        set_committed_value(row, column, url)
    else:
        setattr(row, column, url)
    return url


async def _exchange(
    session: AsyncSession,
    row: Any,  # noqa: ANN401 - as above
    identity: tuple[Any, ...],
    column: str,
    old: str | None,
    new: str,
) -> str | None:
    """Write a URL where the old one is, and return that. Another request may have written one meanwhile."""
    attribute = getattr(type(row), column)
    key = [part == value for part, value in zip(inspect(row).mapper.primary_key, identity, strict=True)]
    statement = update(type(row)).where(*key).values({column: new}).execution_options(synchronize_session=False)
    while (await session.exec(statement.where(attribute.is_not_distinct_from(old)))).rowcount == 0:
        found = (await session.exec(select(attribute).where(*key).with_for_update())).all()
        if not found:
            raise RowGone
        (old,) = found
    return old


async def store_for_row(engine: AsyncEngine, storage: Storage, photo: Photo, *, clock: Clock = SYSTEM_CLOCK) -> str:
    """Store a photo and return its URL, for any session to write into a column of `uploads_under`.

    It is removed after an hour unless a row names it.

    Raises
    ------
    StorageFull, StorageUnavailable.
    """
    key = new_key(PHOTOS, photo.extension)
    await run(engine, evidence.discard, [key], clock.now() + evidence.ORPHAN_AGE)
    async with deadlines.within(deadlines.UPLOAD):
        await storage.put(key, photo.data, content_type=photo.content_type)
    return storage.url(key)


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
