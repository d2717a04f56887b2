"""A worker that stays: in the application's lifespan, or as `oppman.py worker` on another machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from fastopp.errors import Unavailable

if TYPE_CHECKING:
    from fastopp.tasks.host import Host
    from fastopp.tasks.worker.loop import WorkLoop

log = logging.getLogger(__name__)

START_DELAY = 2.0
"""Seconds after the start of an application until its worker starts, unless something is queued before: importing it
takes processor time, which the first visitors need."""


async def run_worker(
    runtime: Host, *, concurrency: int | None = None, stop: asyncio.Event, queues: list[str] | None = None
) -> None:
    """Work the queue until `stop` is set; then running jobs have TASK_STOP_TIMEOUT seconds before they go back.

    When the database is away, or has no tables yet, it waits and tries again.

    Parameters
    ----------
    concurrency: functions that run at a time; TASK_CONCURRENCY by default.
    queues: those to work; all by default.
    """
    failures, pauses = 0, runtime.task_process.limits.restart_pauses
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        try:
            await _run_once(runtime, concurrency or runtime.settings.task_concurrency, stop, queues)
        except Unavailable as error:
            # Once loudly: a database without tables, or away for the night, is no news every few seconds.
            log.log(logging.DEBUG if failures else logging.WARNING, "The worker waits for the database: %s", error)
        except Exception:  # the edge: a worker that stays away would leave tasks undone
            log.exception("The worker failed and is started again")
        if asyncio.get_running_loop().time() - started > pauses[-1]:
            failures = 0
        await _wait(stop, pauses[min(failures, len(pauses) - 1)])
        failures += 1


async def _run_once(runtime: Host, concurrency: int, stop: asyncio.Event, queues: list[str] | None) -> None:
    """One worker, from signing on to signing off. Raises Unavailable."""
    from fastopp.tasks.worker.listen import is_pooled  # noqa: PLC0415 - imported where tasks are worked
    from fastopp.tasks.worker.loop import WorkLoop  # noqa: PLC0415 - as above
    from fastopp.tasks.worker.store import open_store  # noqa: PLC0415 - as above
    from fastopp.tasks.worker.takeover import take_over_stalled  # noqa: PLC0415 - as above
    from fastopp.tasks.worker.time_table import TimeTable  # noqa: PLC0415 - as above

    process, settings, url = runtime.task_process, runtime.settings, runtime.database.url
    async with open_store(runtime) as store:
        await take_over_stalled(store.database, process, runtime.errors)
        pooled = url.backend == "postgresql" and await is_pooled(url, timeout=settings.db_timeout)
        loop = WorkLoop(runtime, store, concurrency=concurrency, queues=queues)

        async def stop_when_asked() -> None:
            await stop.wait()
            loop.stop()

        async def look_for_stalled() -> None:
            while True:
                await asyncio.sleep(process.limits.look_for_stalled)
                try:
                    if await take_over_stalled(store.database, process, runtime.errors):
                        loop.tell()
                except (Unavailable, DBAPIError) as error:
                    log.debug("Stalled jobs could not be looked for: %s", error)

        process.add_wake(loop.wake)
        try:
            await loop.run(
                stop_when_asked(),
                look_for_stalled(),
                TimeTable(runtime, store.database).keep(loop.wake),
                *([] if pooled else [_listen(runtime, loop)]),
                *(beside() for beside in process.beside),
                stop_timeout=settings.task_stop_timeout,
                poll=process.limits.pooled_poll if pooled else process.limits.poll,
            )
        finally:
            process.remove_wake(loop.wake)


async def _listen(runtime: Host, loop: WorkLoop) -> None:
    """Hear of what other processes queue."""
    url = runtime.database.url
    if url.backend == "postgresql":
        from fastopp.tasks.worker.listen import listen_postgres  # noqa: PLC0415 - as above

        await listen_postgres(url, loop.tell, loop.tell_abort, timeout=runtime.settings.db_timeout)
    else:
        from fastopp.tasks.worker.listen_sqlite import listen_sqlite  # noqa: PLC0415 - as above

        await listen_sqlite(url.database or "", loop.tell, loop.tell_abort)


@asynccontextmanager
async def worker_in_background(runtime: Host) -> AsyncIterator[None]:
    """A worker beside the application, for as long as the block lasts."""
    stop, due = asyncio.Event(), asyncio.Event()

    async def hurry() -> None:
        due.set()

    async def work() -> None:
        try:
            await _wait(due, START_DELAY, stop)
        finally:
            runtime.task_process.remove_wake(hurry)
        if not stop.is_set():
            await asyncio.to_thread(_import)
            await run_worker(runtime, stop=stop)

    runtime.task_process.add_wake(hurry)
    working = asyncio.create_task(work(), name="worker in background")
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(working, return_exceptions=True)


def _import() -> None:
    from fastopp.tasks.worker import drain, listen  # noqa: PLC0415, F401 - in a thread, that is all


async def _wait(event: asyncio.Event, seconds: float, other: asyncio.Event | None = None) -> None:
    """Until one of the events is set, or so many seconds have passed."""
    waiting = [asyncio.create_task(each.wait()) for each in (event, other) if each is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
