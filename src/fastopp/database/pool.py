"""A pool whose connections are ready within a time limit, and checked only when they may have died."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

from sqlalchemy import event
from sqlalchemy import exc as sqlalchemy_errors
from sqlalchemy.connectors.asyncio import AsyncAdapt_dbapi_connection
from sqlalchemy.engine import Engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.errors import DatabaseUnavailable
from fastopp.recording import current_work

IDLE_LIMIT = 5.0  # seconds; a connection unused for longer is checked before use
PING_TIMEOUT = 2.0  # seconds; a healthy server answers in milliseconds, and the user is waiting
RECYCLE_AFTER = 600  # seconds; a connection older than this is replaced
LINGER = 10.0  # seconds that connections beyond the pool's size are kept after so many were last in use at once

_RETURNED = "returned_at"


class Driver(Protocol):
    """The interface of a driver's module that the pool needs for its connections."""

    def has_news(self, connection: Any, /) -> bool:  # noqa: ANN401 - each driver has its own type
        """Return whether the server said something unasked, which is mostly goodbye; no round trip."""

    async def ping(self, connection: Any, limit: float, /) -> bool:  # noqa: ANN401 - each driver has its own type
        """Return whether the server still answers, within `limit` seconds."""

    def hang_up(self, connection: Any, /) -> None:  # noqa: ANN401 - each driver has its own type
        """Close the socket without a word."""


class BoundedPool(AsyncAdaptedQueuePool):
    """Gives a connection within `timeout` seconds: waiting, checking and connecting together.

    SQLAlchemy's own limit covers only the waiting for a free place, so that a request could wait for a place and
    then as long again for a connection to a server that does not answer.

    The `max_overflow` connections beyond `pool_size` stay while the load lasts. SQLAlchemy closes one as soon as it is
    returned, so that under steady load requests would go on making new ones.
    """

    target: str | None = None  # the masked URL, for the error message
    clock: Clock = SYSTEM_CLOCK

    def __init__(
        self,
        creator: Callable[[], Any],
        pool_size: int = 5,
        max_overflow: int = 10,
        **options: Any,  # noqa: ANN401 - SQLAlchemy's, of many types
    ) -> None:
        super().__init__(creator, pool_size=pool_size + max_overflow, max_overflow=0, **options)
        self._kept = pool_size
        self._busy_at = float("-inf")  # when more than those were last in use at once
        self._disposed = False

    def connect(self) -> PoolProxiedConnection:
        """A connection, or DatabaseUnavailable."""
        work = current_work.get()
        if work is None:
            return await_only(self._connect_in_time())
        began = time.perf_counter()
        try:
            return await_only(self._connect_in_time())
        finally:
            work.database_seconds += time.perf_counter() - began

    async def _connect_in_time(self) -> PoolProxiedConnection:
        try:
            async with asyncio.timeout(self._timeout):
                return await greenlet_spawn(super().connect)
        except (sqlalchemy_errors.TimeoutError, TimeoutError) as error:
            if self.checkedout() >= self.size():
                what = f"All {self.size()} connections of this process to the database are in use."
            else:
                what = "No connection to the database could be made in time."
            raise DatabaseUnavailable(what, target=self.target) from error

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        now = self.clock.monotonic()
        if self.checkedout() > self._kept:
            self._busy_at = now
        wanted = self.checkedin() < self._kept or now - self._busy_at < LINGER
        if wanted and not self._disposed:
            super()._do_return_conn(record)
        else:
            record.close()
            self._dec_overflow()

    def dispose(self) -> None:
        """Close the connections that are not in use, and each of the others when it is returned."""
        self._disposed = True
        super().dispose()

    def recreate(self) -> BoundedPool:
        """A new pool with the same arguments."""
        pool = super().recreate()
        assert isinstance(pool, BoundedPool)  # noqa: S101 - SQLAlchemy makes it of this class, but types it as its own
        pool.target = self.target
        pool.clock = self.clock
        pool._kept = self._kept  # noqa: SLF001 - its own
        return pool


def check_idle_connections(engine: Engine, driver: Driver, clock: Clock) -> None:
    """Ping a connection that was idle for longer than `IDLE_LIMIT`; when it is dead, replace it and all its elders.

    A platform that freezes the process between requests kills its sockets unseen. Whether the monotonic clock runs
    while frozen depends on the freezer, so both clocks are asked. A connection in steady use costs no round trip,
    only a look whether its socket was closed.
    """

    @event.listens_for(engine, "checkin")
    def remember(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info[_RETURNED] = (clock.monotonic(), clock.time())

    @event.listens_for(engine, "checkout")
    def check(dbapi_connection: AsyncAdapt_dbapi_connection, record: ConnectionPoolEntry, _proxy: object) -> None:
        if _RETURNED not in record.info:  # it is new
            return
        monotonic, wall = record.info.pop(_RETURNED)
        idle = max(clock.monotonic() - monotonic, clock.time() - wall)
        connection = dbapi_connection.driver_connection
        if idle <= IDLE_LIMIT and not driver.has_news(connection):
            return
        if not await_only(driver.ping(connection, PING_TIMEOUT)):
            driver.hang_up(connection)
            raise sqlalchemy_errors.InvalidatePoolError
