"""Notice that running jobs are to be aborted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress

from fastopp.errors import Unavailable
from fastopp.tasks.worker.attempt import Attempt
from fastopp.tasks.worker.presence import Presence
from fastopp.tasks.worker.store import JobStore

log = logging.getLogger(__name__)

POLL_ABORTS = 2.0  # seconds between two questions whether a running job is to be aborted, where nothing is heard


async def look_for_aborts(
    store: JobStore, presence: Presence, attempts: Collection[Attempt], heard: asyncio.Event
) -> None:
    """Abort the attempts whose jobs were cancelled, until cancelled. It looks at once when `heard` is set."""
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(POLL_ABORTS):
                await heard.wait()
        heard.clear()
        try:
            held = await store.held(presence.worker_id) if attempts else {}
        except Unavailable as error:
            log.debug("Jobs to abort could not be looked for: %s", error)
            continue
        for attempt in attempts:
            if held.get(attempt.job.id):
                attempt.abort()
