"""The schedules of a project's tasks: each of their times is queued once, over all workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from croniter import croniter  # type: ignore[import-untyped] # it has no types
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import DBAPIError

from fastopp.database.session import Database
from fastopp.errors import Unavailable
from fastopp.tasks.errors import AlreadyQueued, TaskArguments
from fastopp.tasks.limits import MAX_PERIODIC_DELAY
from fastopp.tasks.models import slots
from fastopp.tasks.queue.defer import defer
from fastopp.tasks.queue.keyed import one_at_a_time
from fastopp.tasks.task import Schedule, Task

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

log = logging.getLogger(__name__)

LOOK_AGAIN = 5.0
"""Seconds until the next attempt while the database is away."""

Key = tuple[str, str]


class TimeTable:
    """Queues what is due.

    Parameters
    ----------
    database: to queue in.
    """

    def __init__(self, runtime: Host, database: Database) -> None:
        self._runtime = runtime
        self._database = database
        self._schedules = {
            (task.name, schedule.id): (task, schedule)
            for task in runtime.task_process.registry.values()
            for schedule in task.schedules
        }
        self._served: dict[Key, int] = {}
        """The newest time of each schedule that was queued, by this process or another."""

    async def keep(self, queued: Callable[[], Awaitable[object]]) -> None:
        """Queue what is due, as long as it is not cancelled, and call `queued` after that."""
        while self._schedules:
            try:
                if await self.queue_due():
                    await queued()
                pause = self._seconds_to_next()
            except (Unavailable, DBAPIError) as error:
                log.warning("Scheduled tasks could not be queued; trying again: %s", error)
                pause = LOOK_AGAIN
            await asyncio.sleep(pause)

    async def queue_due(self) -> bool:
        """Queue the times that have come and are not queued yet; whether there was one.

        Raises DatabaseUnavailable, TablesMissing, DBAPIError.
        """
        now = self._runtime.clock.time()
        due = [(key, moment) for key in self._schedules for moment in self._times(key, now)]
        if not due:
            return False
        newest = select(slots.c.task_name, slots.c.periodic_id, func.max(slots.c.defer_timestamp))
        async with self._database.autocommit() as connection:
            rows = await connection.execute(newest.group_by(slots.c.task_name, slots.c.periodic_id))
            known = {(task, schedule): moment for task, schedule, moment in rows}
        queued = False
        for key, moment in due:
            if known.get(key, 0) < moment:
                queued |= await self._queue(*self._schedules[key], moment)
            self._served[key] = moment
        return queued

    async def _queue(self, task: Task, schedule: Schedule, moment: int) -> bool:
        """Queue a time, unless it or a newer one was: a newer one has the older ones forgotten."""
        args = schedule.args | ({"timestamp": moment} if "timestamp" in task.parameters else {})
        mine = (slots.c.task_name == task.name, slots.c.periodic_id == schedule.id)
        try:
            async with self._database.transaction() as session:
                await one_at_a_time(session, task)
                connection = await session.connection()
                taken = select(slots.c.id).where(*mine, slots.c.defer_timestamp >= moment)
                if (await connection.execute(taken)).first() is not None:
                    return False
                job = await defer(connection, task, args, self._runtime.clock)
                await connection.execute(delete(slots).where(*mine))
                slot = {"task_name": task.name, "periodic_id": schedule.id, "defer_timestamp": moment}
                await connection.execute(insert(slots).values(**slot, job_id=job.id))
        except AlreadyQueued:
            return False
        except TaskArguments:
            log.exception("A schedule of task %s gives it arguments that it does not take", task.name)
            return False
        return True

    def _times(self, key: Key, now: float) -> Iterator[int]:
        """The times of a schedule since the last one that was queued; at first the last one, if it is not too old."""
        _, schedule = self._schedules[key]
        if (last := self._served.get(key)) is None:
            moment = round(croniter(schedule.cron, now).get_prev(float))
            if now - moment <= MAX_PERIODIC_DELAY:
                yield moment
            return
        times = croniter(schedule.cron, last)
        while (moment := round(times.get_next(float))) <= now:
            yield moment

    def _seconds_to_next(self) -> float:
        now = self._runtime.clock.time()
        times: list[float] = [croniter(each.cron, now).get_next(float) for _, each in self._schedules.values()]
        return min(times) - now
