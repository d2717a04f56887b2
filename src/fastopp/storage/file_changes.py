"""Files that change together with a transaction: stored before it commits, removed after it has.

A new file is stored before the row names it, and an old one is removed only when the row that no longer names it is
committed. So a row never names a file that is not there. What a killed process leaves has evidence against it in the
database (`fastopp.storage.evidence`), and the next sweep deletes it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection

from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import await_only
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import FastOppError
from fastopp.storage import deadlines, evidence
from fastopp.storage.base import Storage, StoredFile
from fastopp.storage.sweep import collect, run

logger = logging.getLogger(__name__)

CLOCK = "fastopp_clock"
"""The key in a session's `info` of a clock other than the system's."""


class FileChanges:
    """The changes to files together with a session's transaction. Get it with `FileChanges.of`."""

    def __init__(self, session: Session, storage: Storage) -> None:
        self.session = session
        self.storage = storage
        self._clock: Clock = session.info.get(CLOCK, SYSTEM_CLOCK)
        self._forget()
        self._holds_connection = session.in_transaction()
        event.listen(session, "after_begin", self._after_begin)
        event.listen(session, "before_commit", self._before_commit)
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_transaction_end", self._after_transaction_end)

    @classmethod
    def of(cls, session: AsyncSession | Session, storage: Storage) -> FileChanges:
        """The file changes of this session, begun with the first call."""
        changes: FileChanges | None = session.info.get(cls)
        if changes is None:
            within = session.sync_session if isinstance(session, AsyncSession) else session
            changes = session.info[cls] = cls(within, storage)
        return changes

    async def put(self, key: str, data: bytes, *, content_type: str) -> StoredFile:
        """Store a file now, and remove it again if the transaction is rolled back. The key must be new.

        Within a transaction that has begun, the upload cannot be recorded first: a second connection could wait for
        the first one for ever. A process that is killed then leaves a file that is listed as unclaimed.
        """
        self._refuse_savepoint()
        if not self._holds_connection:
            await run(self._engine, evidence.announce, key, self._clock.now())
            self._announced.append(key)
        self._join_transaction()
        self._stored.append(key)  # first, since a failure half-way counts too
        return await self.storage.put(key, data, content_type=content_type)

    def delete(self, key: str | None) -> None:
        """Remove a file when the transaction is committed. None is no file."""
        self._refuse_savepoint()
        self._join_transaction()
        if key is not None:
            self._obsolete.append(key)

    def follow(self, given_up: Collection[str], named: Collection[str]) -> None:
        """Record which files the rows of a flush give up, and which they name. Works within savepoints, too.

        Raises FileBeingDeleted.
        """
        connection = self.session.connection()
        if others := set(named) - set(self._stored):
            evidence.keep(connection, others)
        gone = set(given_up) - set(named)
        mine = gone & set(self._announced)  # confirmed first, when the transaction commits
        self._obsolete += mine
        if gone - mine:
            evidence.discard(connection, gone - mine, self._clock.now())
            self._discarded += gone - mine

    @property
    def _engine(self) -> AsyncEngine:
        bind = self.session.get_bind()
        return AsyncEngine(bind.engine if isinstance(bind, Connection) else bind)

    def _refuse_savepoint(self) -> None:
        if self.session.in_nested_transaction():
            message = "Files cannot be changed within a savepoint, since its end does not decide the transaction."
            raise RuntimeError(message)

    def _join_transaction(self) -> None:
        if not self.session.in_transaction():
            self.session.begin()  # no round trip; the end of a transaction is what we wait for

    def _forget(self) -> None:
        self._announced: list[str] = []
        self._stored: list[str] = []
        self._obsolete: list[str] = []
        self._discarded: list[str] = []
        self._committing = self._committed = self._holds_connection = False

    def _after_begin(self, *_: object) -> None:
        self._holds_connection = True

    def _before_commit(self, session: Session) -> None:
        if session.in_nested_transaction():
            return
        session.flush()  # a row that is refused is refused here, where the outcome is certain
        if self._announced:
            evidence.confirm(session.connection(), self._announced)
        if self._obsolete:
            evidence.discard(session.connection(), self._obsolete, self._clock.now())
        self._committing = True

    def _after_commit(self, session: Session) -> None:
        if not session.in_nested_transaction():
            self._committed = True

    def _after_transaction_end(self, session: Session, transaction: SessionTransaction) -> None:
        # The connection is back in its pool by now, so that a slow storage keeps none.
        if transaction.parent is not None:
            return
        committed, committing = self._committed, self._committing
        obsolete, stored, announced = {*self._obsolete, *self._discarded}, self._stored, self._announced
        self._forget()
        if committed and obsolete:
            await_only(self._collect(obsolete))
        # A COMMIT that was sent and not answered may have been done. The evidence says so, and a sweep reads it.
        elif stored and not committing:
            await_only(self._undo(stored, announced))

    async def _collect(self, keys: Collection[str]) -> None:
        try:
            async with deadlines.within(deadlines.REMOVAL):
                await collect(self._engine, self.storage, keys, clock=self._clock)
        except (FastOppError, SQLAlchemyError):  # the transaction has ended and nothing can undo it
            logger.warning("Files could not be removed, a sweep will: %s", ", ".join(sorted(keys)), exc_info=True)

    async def _undo(self, keys: Collection[str], announced: Collection[str]) -> None:
        """Remove files whose transaction was rolled back."""
        failed: list[str] = []
        for key in keys:
            try:
                async with deadlines.within(deadlines.REMOVAL):
                    await self.storage.delete(key)
            except FastOppError:
                failed.append(key)
                logger.warning("%s could not be removed, a sweep will", key, exc_info=True)
        try:
            if removed := set(announced) - set(failed):
                await run(self._engine, evidence.forget, removed)
            if failed:
                await run(self._engine, evidence.discard, failed, self._clock.now())
        except (FastOppError, SQLAlchemyError):
            logger.warning("The evidence of removed uploads could not be updated", exc_info=True)
