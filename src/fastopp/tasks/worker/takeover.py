"""Return jobs whose worker died or was frozen to the queue: once each, over all workers."""

from __future__ import annotations

import logging

from sqlalchemy import case, delete, select, update

from fastopp.database.session import Database
from fastopp.database.upsert import insert
from fastopp.reporting import ErrorReports, Occurrence
from fastopp.tasks.clock import from_now
from fastopp.tasks.errors import WorkerDied
from fastopp.tasks.models import jobs, runs, workers
from fastopp.tasks.process import TaskProcess
from fastopp.tasks.queue.status import is_stalled
from fastopp.tasks.queue.steering import is_double
from fastopp.tasks.retry import NEVER_AGAIN

log = logging.getLogger(__name__)


async def take_over_stalled(database: Database, process: TaskProcess, errors: ErrorReports | None = None) -> int:
    """Put stalled jobs back, and return how many. Raises DatabaseUnavailable, TablesMissing.

    Each time counts as a try. A job that took its worker down too often has failed; one that was to be aborted is.
    """
    stalled = is_stalled(process.limits.stalled_after)
    query = select(jobs.c.id, jobs.c.task_name, jobs.c.attempts, jobs.c.abort_requested).where(stalled)
    async with database.autocommit() as connection:
        # First: a worker that is known could take the very job again, beside its own function that still runs.
        dead = workers.c.last_heartbeat < from_now(-process.limits.stalled_after)
        await connection.execute(delete(workers).where(dead))
        rows = (await connection.execute(query)).all()
    taken = 0
    for row in rows:
        task = process.registry.get(row.task_name)
        tries = max((task.retry if task else NEVER_AGAIN).attempts, process.limits.interruptions)
        status = "aborted" if row.abort_requested else "todo" if row.attempts + 1 < tries else "failed"
        change: dict[str, object] = {"status": status, "worker_id": None, "abort_requested": False}
        if status == "todo":
            change["queueing_lock"] = case((is_double(), None), else_=jobs.c.queueing_lock)
        async with database.transaction() as session:
            connection = await session.connection()
            mine = update(jobs).where(jobs.c.id == row.id, stalled)
            change |= {"scheduled_at": None, "attempts": jobs.c.attempts + 1}
            if (await connection.execute(mine.values(change))).rowcount == 0:
                continue  # another worker was faster
            note = {"error": str(WorkerDied()), "updated_at": from_now()}
            reason = insert(session, runs).values(job_id=row.id, **note)
            await connection.execute(reason.on_conflict_do_update(index_elements=["job_id"], set_=note))
        taken += 1
        if status == "failed" and errors is not None:
            errors.add(Occurrence(WorkerDied(), "task", None, row.task_name, row.id, row.attempts + 1))
        log.warning("Job %d (%s) was taken from a worker without a heartbeat", row.id, row.task_name)
    if errors is not None and errors.waiting:
        await errors.flush()
    return taken
