"""Events for an open page of tasks: the progress of running tasks, and whether the list changed."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from typing import Any

import anyio
from sqlalchemy import func, select, true
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.database.session import Database
from fastopp.errors import FastOppError
from fastopp.tasks.models import events, jobs, runs

INTERVAL = 1.0  # seconds between two looks at the database
MAX_STREAM = 300.0  # seconds; then the browser connects again, and its rights are looked at again


async def look(session: AsyncSession) -> dict[str, Any]:
    """`progress` of what runs, and `state`, which is a larger number when some task began, ended or was queued.

    One query in all cases.
    """
    newest = select(func.max(events.c.id).label("event")).subquery()
    running = (
        select(jobs.c.id, runs.c.done, runs.c.total, runs.c.message)
        .outerjoin(runs, runs.c.job_id == jobs.c.id)
        # Also `worker_id`, which every running one has: the two together have an index.
        .where(jobs.c.status == "doing", jobs.c.worker_id.is_not(None))
        .subquery()
    )
    rows = (
        await (await session.connection()).execute(
            select(newest.c.event, *running.c).join_from(newest, running, true(), isouter=True)
        )
    ).all()
    progress = [
        {"id": row.id, "done": row.done or 0, "total": row.total, "message": row.message or ""}
        for row in rows
        if row.id is not None
    ]
    return {"state": rows[0].event or 0, "progress": progress}


async def watch(database: Database, clock: Clock) -> AsyncIterator[dict[str, Any]]:
    """Yield the result of `look` when it changes, until the server stops, the database fails, or five minutes pass.

    Between two looks no session is open and no connection is held.
    """
    told, end = None, clock.monotonic() + MAX_STREAM
    while clock.monotonic() < end and not server_stops():
        try:
            # The client may go away at any moment. Cancelled in a query, a connection would be thrown away.
            with anyio.CancelScope(shield=True):
                async with database.read() as session:
                    seen = await look(session)
        except FastOppError:
            return  # the browser connects again after a few seconds
        if seen != told:
            yield seen
            told = seen
        await clock.sleep(INTERVAL)


def server_stops() -> bool:
    """Return whether uvicorn is stopping: it waits for open streams without notifying them.

    Its signal handler is a method of the server, which knows. Another server's handler is not known to stop.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))
