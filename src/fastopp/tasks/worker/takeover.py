"""Return jobs whose worker died or was frozen to the queue: once each, over all workers."""

from __future__ import annotations

import logging

from fastopp.tasks.errors import WorkerDied
from fastopp.tasks.process import TaskProcess
from fastopp.tasks.task import NEVER_AGAIN
from fastopp.tasks.worker.store import JobStore

log = logging.getLogger(__name__)


async def take_over_stalled(store: JobStore, process: TaskProcess) -> int:
    """Put stalled jobs back, and return how many. Raises ConnectorException.

    Each time counts as a try. A job that took its worker down too often has failed; one that was to be aborted is.
    """
    taken = 0
    # First: a worker that is known could take the very job again, beside its own function that still runs.
    await store.forget_stalled_workers()
    for row in await store.stalled():
        task = process.registry.get(row["task_name"])
        tries = max((task.retry if task else NEVER_AGAIN).attempts, process.limits.interruptions)
        status = "aborted" if row["abort_requested"] else "todo" if row["attempts"] + 1 < tries else "failed"
        if await store.take_over(row["id"], status, str(WorkerDied())):
            taken += 1
            log.warning("Job %d (%s) was taken from a worker without a heartbeat", row["id"], row["task_name"])
    return taken
