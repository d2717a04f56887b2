"""Notify procrastinate's Worker that there may be a job to take, or that a running one is to be aborted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from procrastinate.manager import NotificationCallback

from fastopp.tasks.worker.listen import Listen


class Notifications:
    """Those of one worker, from its own process and, where that is possible, from others.

    Parameters
    ----------
    listen: notifies of tasks queued elsewhere.
    """

    def __init__(self, listen: Listen | None) -> None:
        self.unread = False
        """One came since this was last set to False. The Worker itself forgets notifications while it fetches."""
        self._listen = listen
        self._pass_on: Callable[[], Awaitable[None]] | None = None
        self._passing: set[asyncio.Future[None]] = set()

    def tell(self) -> None:
        """There may be a job to take that could not be taken before."""
        self.unread = True
        if self._pass_on is not None:
            passing = asyncio.ensure_future(self._pass_on())
            self._passing.add(passing)
            passing.add_done_callback(self._passing.discard)

    def tell_in(self, seconds: float) -> None:
        """There may be one then."""
        asyncio.get_running_loop().call_later(seconds, self.tell)

    async def deliver(self, on_notification: NotificationCallback) -> None:
        """Pass all of them on until cancelled."""

        async def queued() -> None:
            self.unread = True
            await on_notification(channel="", notification={"type": "job_inserted", "job_id": 0})

        async def abort(job_id: int) -> None:
            await on_notification(channel="", notification={"type": "abort_job_requested", "job_id": job_id})

        self._pass_on = queued
        try:
            if self._listen is None:
                await asyncio.Event().wait()
            else:
                await self._listen(queued, abort)
        finally:
            self._pass_on = None
