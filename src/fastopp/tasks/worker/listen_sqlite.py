"""Listen for tasks and abort requests of other processes in a SQLite file, which has no LISTEN and NOTIFY.

`PRAGMA data_version` says in microseconds whether another connection has committed.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress

log = logging.getLogger(__name__)

INTERVAL = 0.02  # seconds between two looks
THREAD = "fastopp-sqlite-listener"

# Events bear numbers in the order in which they were committed, since SQLite has one writer at a time: none comes late.
_NEWS = (
    "SELECT max(id), type FROM procrastinate_events WHERE id > ? AND type IN ('deferred', 'abort_requested') GROUP BY 2"
)
_NEWEST = "SELECT coalesce(max(id), 0) FROM procrastinate_events"


async def listen_sqlite(path: str, queued: Callable[[], None], abort: Callable[[], None]) -> None:
    """Call `queued` whenever another process has queued a job, and `abort` when a running one is to be aborted, until
    cancelled; return after an error of the file."""
    loop, stop, ended = asyncio.get_running_loop(), threading.Event(), asyncio.Event()

    def notify(kind: str) -> None:
        loop.call_soon_threadsafe(abort if kind == "abort_requested" else queued)

    def look() -> None:
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                _look(connection, stop, notify)
        except sqlite3.Error as error:
            log.warning("Listening to the database ended: %s", error)
        finally:
            with suppress(RuntimeError):  # the event loop is closed
                loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=look, name=THREAD, daemon=True).start()
    try:
        await ended.wait()
    finally:
        stop.set()


def _look(connection: sqlite3.Connection, stop: threading.Event, notify: Callable[[str], None]) -> None:
    version: int | None = None
    (newest,) = connection.execute(_NEWEST).fetchone()
    while not stop.wait(INTERVAL):
        (current,) = connection.execute("PRAGMA data_version").fetchone()
        if current == version:
            continue
        version = current
        for id_, kind in connection.execute(_NEWS, (newest,)).fetchall():
            newest = max(newest, id_)
            notify(kind)
