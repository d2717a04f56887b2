"""A replacement of PostgreSQL's LISTEN for SQLite: notice jobs that any connection of any process has written."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterable

Deliver = Callable[[str, str], None]

ANY_QUEUE = "procrastinate_any_queue_v1"
QUEUE = "procrastinate_queue_v1#"

# Events bear numbers in the order in which they were committed, since SQLite has one writer at a time: none comes late.
_NEWS = """
SELECT event.id, event.type, event.job_id, job.queue_name
FROM procrastinate_events AS event JOIN procrastinate_jobs AS job ON job.id = event.job_id
WHERE event.id > ? AND (event.type = 'deferred' OR (event.type = 'abort_requested' AND job.status = 'doing'))
ORDER BY event.id
"""
_NEWEST = "SELECT coalesce(max(id), 0) FROM procrastinate_events"


class Listener(threading.Thread):
    """A thread that looks whether the file has changed, which costs microseconds, and if so, for new events.

    Parameters
    ----------
    connect: opens a connection that only this thread uses.
    channels: procrastinate's channels to hear.
    deliver: called in this thread with a channel and a payload.
    fail: called in this thread, as its last act, with an error that ended it.
    interval: seconds between two looks. `wake` brings the next one forward.
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        channels: Iterable[str],
        *,
        deliver: Deliver,
        fail: Callable[[Exception], None],
        interval: float,
    ) -> None:
        super().__init__(name="procrastinate-sqlite-listener", daemon=True)
        self._connect = connect
        self._channels = frozenset(channels)
        self._deliver = deliver
        self._fail = fail
        self._interval = interval
        self._wake = threading.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def stop(self) -> None:
        """End soon; `join` waits for it."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Look, deliver, wait; until it is stopped."""
        try:
            connection = self._connect()
            try:
                self._listen(connection)
            finally:
                connection.close()
        except Exception as error:  # noqa: BLE001 - a thread's edge: passed on to the listeners
            if not self._stopping:
                self._fail(error)

    def _listen(self, connection: sqlite3.Connection) -> None:
        version = _version(connection)
        (newest,) = connection.execute(_NEWEST).fetchone()
        while not self._stopping:
            self._wake.wait(self._interval)
            self._wake.clear()
            current = _version(connection)
            if current == version or self._stopping:
                continue
            version = current
            for event_id, kind, job_id, queue in connection.execute(_NEWS, (newest,)).fetchall():
                newest = event_id
                self._announce(kind, job_id, queue)

    def _announce(self, kind: str, job_id: int, queue: str) -> None:
        payload = json.dumps(
            {"type": "job_inserted" if kind == "deferred" else "abort_job_requested", "job_id": job_id}
        )
        for channel in self._channels.intersection((ANY_QUEUE, QUEUE + queue)):
            self._deliver(channel, payload)


def _version(connection: sqlite3.Connection) -> int:
    """A number that changes whenever another connection has committed."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
