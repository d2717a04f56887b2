"""Files that belong to rows: the database and the storage never disagree, whatever fails in between.

A new file is stored before the row names it, and an old one is removed only when the row that no longer
names it is committed. So a row never names a file that is not there. What a crash leaves is a file that
no row names; `remove_orphans` finds those.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Collection
from datetime import timedelta

from sqlalchemy import event
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import FastOppError
from fastopp.storage import deadlines
from fastopp.storage.addresses import key_at
from fastopp.storage.base import Storage, StoredFile
from fastopp.storage.images import Photo
from fastopp.storage.keys import new_key

logger = logging.getLogger(__name__)

PHOTOS = "photos"
ORPHAN_AGE = timedelta(hours=1)  # four times the longest request of any platform: no transaction lasts as long


async def store_photo(session: AsyncSession, storage: Storage, photo: Photo) -> str:
    """Store a photo and return its URL, for the caller to write into a row within `session`'s next transaction.

    Call it before the session asks the database for anything: then no connection is held, and no row is locked, while
    the storage is waited for. If the transaction is rolled back, the photo is removed. Use `remove_photo` for the one
    that it takes the place of, from the row read `with_for_update()`.

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
    """Store a photo and return its URL, for the caller to write into the row within `session`'s transaction.

    The transaction stays open while the storage is waited for: prefer `store_photo`. The photo at `old_url`
    is removed once the transaction is committed; if it is rolled back, the new one is. Read the row
    `with_for_update()`, so that of two who replace a photo the second sees the first's.

    Raises
    ------
    StorageFull, StorageUnavailable: and nothing has changed.
    """
    key = new_key(PHOTOS, photo.extension)
    changes = FileChanges.of(session, storage)
    await changes.put(key, photo.data, content_type=photo.content_type)
    changes.delete(key_at(storage, old_url))
    return storage.url(key)


def remove_photo(session: AsyncSession, storage: Storage, url: str | None) -> None:
    """Remove the photo at `url` once `session`'s transaction, in which the row forgets it, is committed."""
    FileChanges.of(session, storage).delete(key_at(storage, url))


class FileChanges:
    """What happens to files together with a session's transaction. Get it with `FileChanges.of`."""

    def __init__(self, session: Session, storage: Storage) -> None:
        self.session = session
        self.storage = storage
        self._forget()
        event.listen(session, "before_commit", self._before_commit)
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_transaction_end", self._after_transaction_end)

    @classmethod
    def of(cls, session: AsyncSession, storage: Storage) -> FileChanges:
        """The file changes of this session, begun with the first call."""
        changes: FileChanges | None = session.info.get(cls)
        if changes is None:
            changes = session.info[cls] = cls(session.sync_session, storage)
        return changes

    async def put(self, key: str, data: bytes, *, content_type: str) -> StoredFile:
        """Store a file now, and remove it again if the transaction is rolled back. The key must be new."""
        self._join_transaction()
        self._stored.append(key)  # first, since a failure half-way counts too
        return await self.storage.put(key, data, content_type=content_type)

    def delete(self, key: str | None) -> None:
        """Remove a file when the transaction is committed. None is no file."""
        self._join_transaction()
        if key is not None:
            self._obsolete.append(key)

    def _join_transaction(self) -> None:
        if self.session.in_nested_transaction():
            message = "Files cannot be changed within a savepoint: its end does not tell how the transaction will end."
            raise RuntimeError(message)
        if not self.session.in_transaction():
            self.session.begin()  # no round trip; the end of a transaction is what we wait for

    def _forget(self) -> None:
        self._stored: list[str] = []
        self._obsolete: list[str] = []
        self._committing = self._committed = False

    def _before_commit(self, session: Session) -> None:
        if not session.in_nested_transaction():
            session.flush()  # a row that is refused is refused here, where the outcome is certain
            self._committing = True

    def _after_commit(self, session: Session) -> None:
        if not session.in_nested_transaction():
            self._committed = True

    def _after_transaction_end(self, _: Session, transaction: SessionTransaction) -> None:
        # The connection is back in its pool by now, so that a slow storage keeps none.
        if transaction.parent is not None:
            return
        if self._committed:
            unwanted = self._obsolete
        elif self._committing:
            # The COMMIT was sent and not answered. It may have been done: keep both, an orphan is found later.
            unwanted = []
        else:
            unwanted = self._stored
        self._forget()
        for key in unwanted:
            await_only(self._remove(key))

    async def _remove(self, key: str) -> None:
        try:
            async with deadlines.within(deadlines.REMOVAL):
                await self.storage.delete(key)
        except FastOppError as error:  # the transaction has ended and nothing can undo it; the file is an orphan now
            logger.warning("%s could not be removed; it is left to remove_orphans: %s", key, error.message)


async def find_orphans(
    storage: Storage,
    referenced_keys: Collection[str],
    *,
    prefix: str = f"{PHOTOS}/",
    older_than: timedelta = ORPHAN_AGE,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncGenerator[StoredFile]:
    """The files under `prefix` that no row names.

    Parameters
    ----------
    referenced_keys: every key that a row names, read from the database just before (a set, for speed);
        see `fastopp.storage.addresses.key_at`.
    older_than: younger files are left out, since their transaction may not be committed yet.
    """
    before = clock.now() - older_than
    async for file in storage.list(prefix):
        if file.modified < before and file.key not in referenced_keys:
            yield file


async def remove_orphans(
    storage: Storage,
    referenced_keys: Collection[str],
    *,
    prefix: str = f"{PHOTOS}/",
    older_than: timedelta = ORPHAN_AGE,
    clock: Clock = SYSTEM_CLOCK,
) -> list[StoredFile]:
    """Remove what `find_orphans`, with the same arguments, finds; return what was removed."""
    removed = []
    async for file in find_orphans(storage, referenced_keys, prefix=prefix, older_than=older_than, clock=clock):
        await storage.delete(file.key)
        removed.append(file)
    return removed
