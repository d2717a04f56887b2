"""A worker's row in the database, whose heartbeats say that its process lives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from fastopp.errors import Unavailable
from fastopp.tasks.worker.store import JobStore

log = logging.getLogger(__name__)


class Presence:
    """Signs a worker on and off, and sends its heartbeats.

    Parameters
    ----------
    lost: called once when others have taken the worker for dead.
    """

    def __init__(self, store: JobStore, lost: Callable[[], None]) -> None:
        self.worker_id = 0
        """Its number, once it has signed on."""
        self.lost = False
        """Others take this worker for dead, and may have its jobs."""
        self._store = store
        self._on_lost = lost

    async def sign_on(self) -> None:
        """Add the row. Raises Unavailable."""
        self.worker_id = await self._store.sign_on()

    async def sign_off(self) -> None:
        """Remove the row, if there is one."""
        try:
            if self.worker_id:
                await self._store.sign_off(self.worker_id)
        except Unavailable as error:
            log.warning("The worker could not sign off; its jobs will be taken over: %s", error)

    async def keep_alive(self, interval: float) -> None:
        """Send heartbeats until cancelled."""
        while True:
            await asyncio.sleep(interval)
            await self.heartbeat()

    async def heartbeat(self) -> None:
        """Send a heartbeat, and find out whether the worker is still known."""
        try:
            known = not self.worker_id or await self._store.heartbeat(self.worker_id)
        except Unavailable as error:
            log.warning("The database is away, so this worker could not send a heartbeat: %s", error)
            return
        if not known and not self.lost:
            log.warning("This worker was frozen too long, and others have taken its jobs over")
            self.lost = True
            self._on_lost()
