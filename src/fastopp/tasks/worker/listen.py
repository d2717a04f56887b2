"""Listen for tasks and abort requests of other processes, where the database can notify.

PostgreSQL notifies with NOTIFY, on a separate connection. A pooler in transaction mode takes a LISTEN and delivers
nothing: there, and while no connection can be made, the worker only looks now and then. A pooler is known by the number
of the server process: it assigns its own numbers.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from fastopp.database.errors import DatabaseUnavailable
from fastopp.settings.database_url import DatabaseURL

log = logging.getLogger(__name__)

CHANNEL = "procrastinate_any_queue_v1"  # of procrastinate's triggers
ALIVE_EVERY = 30.0  # seconds between two questions whether the server is still there
RECONNECT_AFTER = 5.0  # seconds

Notify = Callable[[], None]


async def is_pooled(url: DatabaseURL, *, timeout: float) -> bool:  # noqa: ASYNC109 - of the connection
    """Return whether a pooler stands between us and PostgreSQL. Raises DatabaseUnavailable."""
    connection = await _connect(url, timeout)
    try:
        return await _is_pooled(connection)
    finally:
        connection.pgconn.finish()


async def listen_postgres(url: DatabaseURL, queued: Notify, abort: Notify, *, timeout: float) -> None:  # noqa: ASYNC109 - as above
    """Call `queued` whenever another process has queued a job, and `abort` when a running one is to be aborted, until
    cancelled; return immediately where that is impossible."""
    import psycopg  # noqa: PLC0415 - loaded only where it is used

    while True:
        try:
            connection = await _connect(url, timeout)
        except DatabaseUnavailable:
            await asyncio.sleep(RECONNECT_AFTER)
            continue
        try:
            if await _is_pooled(connection):
                return
            await connection.execute(f"LISTEN {CHANNEL}")
            queued()  # what came before
            await _hear(connection, queued, abort)
        except (psycopg.Error, OSError) as error:
            log.info("Listening to the database ended; trying again: %s", type(error).__name__)
            await asyncio.sleep(RECONNECT_AFTER)
        finally:
            connection.pgconn.finish()


async def _hear(connection: Any, queued: Notify, abort: Notify) -> None:  # noqa: ANN401 - psycopg's, loaded late
    while True:
        async for notification in connection.notifies(timeout=ALIVE_EVERY):
            is_abort = json.loads(notification.payload)["type"] == "abort_job_requested"
            (abort if is_abort else queued)()
        await connection.execute("SELECT 1")


async def _connect(url: DatabaseURL, timeout: float) -> Any:  # noqa: ANN401, ASYNC109 - as above
    from fastopp.database.drivers.psycopg import connector  # noqa: PLC0415 - as above

    connection = await connector(url, timeout=timeout, statement_timeout=ALIVE_EVERY + timeout)()
    await connection.set_autocommit(True)
    return connection


async def _is_pooled(connection: Any) -> bool:  # noqa: ANN401 - as above
    cursor = await connection.execute("SELECT pg_backend_pid()")
    (number,) = await cursor.fetchone()
    return bool(number != connection.info.backend_pid)
