"""Sessions: reading, and transactions."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.engine import create_engine, in_autocommit
from fastopp.database.errors import DatabaseUnavailable, unavailable
from fastopp.database.observed import observe
from fastopp.database.replica import NEVER_REACHED, WRITTEN, Replica, note_write, position_of_lsn
from fastopp.settings import Settings
from fastopp.settings.database_url import DatabaseURL

__all__ = ["Database", "DatabaseUnavailable", "after_commit"]

log = logging.getLogger(__name__)

_AFTER_COMMIT = "fastopp_after_commit"


def after_commit(session: AsyncSession, callback: Callable[[], Awaitable[object]]) -> None:
    """Have `callback` called and awaited once the session's transaction is committed, before the answer is sent.

    It is not called when the transaction is rolled back, and once even when it is asked for several times. An
    exception in it is logged: what is committed stays so. Only sessions of `Database` do this.
    """
    # A dictionary keeps the order.
    session.info.setdefault(_AFTER_COMMIT, {})[callback] = None


async def _committed(session: AsyncSession) -> None:
    for callback in session.info.pop(_AFTER_COMMIT, ()):
        try:
            await callback()
        except Exception:  # the edge: the caller's work is done, even if this fails
            log.exception("What was to follow a transaction failed")


class Database:
    """The database of a process: one engine, and sessions from its pool.

    Making one connects to nothing. A session takes a connection at its first query and raises DatabaseUnavailable,
    then or later, when the database cannot be reached.
    """

    def __init__(self, url: DatabaseURL, engine: AsyncEngine) -> None:
        self.url = url
        self.engine = engine
        self.session_class: type[Session] = Session
        """The synchronous inside of the sessions of transactions."""
        self.session_info: dict[str, Any] = {}
        """The first entries of their `info`."""
        self.replica: Replica | None = None
        """For `read_near`."""
        self._reading = in_autocommit(engine)

    @classmethod
    def from_settings(cls, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Database:
        """The database that the settings name, with their pool and time limit.

        Raises DatabaseURLError as `create_engine` does.
        """
        engine = create_engine(
            settings.database,
            pool_size=settings.db_pool_size,
            max_overflow=settings.db_max_overflow,
            timeout=settings.db_timeout,
            clock=clock,
        )
        observe(engine, settings)
        database = cls(settings.database, engine)
        database.replica = Replica.from_settings(settings, clock=clock)
        return database

    @asynccontextmanager
    async def read(self, *, limit: float | None = None) -> AsyncIterator[AsyncSession]:
        """A session for reading, in autocommit: one round trip a query, and each query sees the newest rows.

        What is added to it is not written; a statement that writes does so at once. With `limit`, the block raises
        DatabaseUnavailable after so many seconds.
        """
        timeout = asyncio.timeout(limit)
        try:
            async with timeout, AsyncSession(self._reading, expire_on_commit=False, autoflush=False) as session:
                yield session
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise unavailable(self.url.masked, error) from error
        await _committed(session)

    @asynccontextmanager
    async def read_near(self, position: int) -> AsyncIterator[AsyncSession | None]:
        """A session as `read` gives it, at the replica; None if there is none, or none that has reached a position."""
        session = await self.replica.open(position) if self.replica is not None else None
        if session is None:
            yield None
            return
        async with session:
            yield session
        await _committed(session)

    async def position(self) -> int:
        """Return the primary's position, which a replica must have reached to show all writes up to now.

        One round trip. Where it cannot be asked for, the one that no replica ever reaches.
        """
        try:
            async with self.autocommit() as connection:
                return position_of_lsn(str((await connection.execute(WRITTEN)).scalar_one()))
        except DatabaseUnavailable:
            return NEVER_REACHED

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A session whose changes are committed together at the end, or not at all when an exception leaves it."""
        options: dict[str, Any] = {"sync_session_class": self.session_class, "info": self.session_info}
        async with AsyncSession(self.engine, expire_on_commit=False, **options) as session:
            yield session
            await session.commit()
        note_write()
        await _committed(session)

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """A connection for a single statement, which takes effect at once: one round trip, and no session's cost."""
        async with self._reading.connect() as connection:
            yield connection

    async def dispose(self) -> None:
        """Close all connections. A session that is still open keeps its own until it ends."""
        if self.replica is not None:
            await self.replica.dispose()
        await self.engine.dispose()
