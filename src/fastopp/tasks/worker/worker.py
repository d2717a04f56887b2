"""A worker that stays: in the application's lifespan, or as `oppman.py worker` on another machine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastopp.tasks.host import Host
    from fastopp.tasks.worker.fenced import FencedJobManager
    from fastopp.tasks.worker.listen import Listen
    from fastopp.tasks.worker.queue import Queue

log = logging.getLogger(__name__)

START_DELAY = 2.0
"""Seconds after the start of an application until its worker starts, unless something is queued before: importing
procrastinate takes a fifth of a second of processor time, which the first visitors need."""


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
    from procrastinate.exceptions import ConnectorException  # noqa: PLC0415 - imported where tasks are worked

    from fastopp.database.errors import DatabaseUnavailable  # noqa: PLC0415 - as above

    failures, pauses = 0, runtime.task_process.limits.restart_pauses
    while not stop.is_set():
        started = asyncio.get_running_loop().time()
        try:
            await _run_once(runtime, concurrency or runtime.settings.task_concurrency, stop, queues)
        except (ConnectorException, DatabaseUnavailable) as error:
            reason = str(error.__cause__ or error)
            # Once loudly: a database without tables, or away for the night, is no news every few seconds.
            log.log(logging.DEBUG if failures else logging.WARNING, "The worker waits for the database: %s", reason)
        except Exception:  # the edge: a worker that stays away would leave tasks undone
            log.exception("The worker failed and is started again")
        if asyncio.get_running_loop().time() - started > pauses[-1]:
            failures, pauses = 0, runtime.task_process.limits.restart_pauses
        await _wait(stop, pauses[min(failures, len(pauses) - 1)])
        failures += 1


async def _run_once(runtime: Host, concurrency: int, stop: asyncio.Event, queues: list[str] | None) -> None:
    """One worker, from signing on to signing off. Raises ConnectorException."""
    from fastopp.tasks.worker.fenced import FencedJobManager  # noqa: PLC0415 - imported where tasks are worked
    from fastopp.tasks.worker.listen import is_pooled  # noqa: PLC0415 - as above
    from fastopp.tasks.worker.queue import open_queue  # noqa: PLC0415 - as above
    from fastopp.tasks.worker.runner import Runner  # noqa: PLC0415 - as above
    from fastopp.tasks.worker.takeover import take_over_stalled  # noqa: PLC0415 - as above

    settings, limits, url = runtime.settings, runtime.task_process.limits, runtime.database.url
    async with open_queue(runtime) as queue:
        await take_over_stalled(queue.store, runtime.task_process)
        pooled = url.backend == "postgresql" and await is_pooled(url, timeout=settings.db_timeout)
        manager = FencedJobManager(
            queue.store,
            concurrency=concurrency,
            listen=_listen_with(queue, pooled=pooled),
            clock=runtime.clock,
            limits=limits,
        )
        runner = Runner(runtime, manager, concurrency=concurrency, deadline=None)
        helpers = [
            asyncio.create_task(_stop_when(stop, manager), name="worker: stop"),
            asyncio.create_task(_look_for_stalled(queue, manager), name="worker: stalled jobs"),
        ]
        try:
            await queue.work(
                manager,
                runner,
                concurrency=concurrency,
                stop_timeout=settings.task_stop_timeout,
                poll=limits.pooled_poll if pooled else limits.poll,
                queues=queues,
            )
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)


def _listen_with(queue: Queue, *, pooled: bool) -> Listen:
    """Hear of what this process queues, and of what others do where that is possible."""

    async def listen(queued: Callable[[], Awaitable[None]], abort: Callable[[int], Awaitable[None]]) -> None:
        process = queue.runtime.task_process
        process.add_wake(queued)
        try:
            if not pooled:
                await queue.listen(queued, abort)
            await asyncio.Event().wait()
        finally:
            process.remove_wake(queued)

    return listen


async def _stop_when(stop: asyncio.Event, manager: FencedJobManager) -> None:
    await stop.wait()
    manager.stop()


async def _look_for_stalled(queue: Queue, manager: FencedJobManager) -> None:
    from procrastinate.exceptions import ConnectorException  # noqa: PLC0415 - as above

    from fastopp.tasks.worker.takeover import take_over_stalled  # noqa: PLC0415 - as above

    process = queue.runtime.task_process
    while True:
        await asyncio.sleep(process.limits.look_for_stalled)
        try:
            if await take_over_stalled(queue.store, process):
                manager.notifications.tell()
        except ConnectorException as error:
            log.debug("Stalled jobs could not be looked for: %s", error)


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
    from fastopp.tasks.worker import fenced, listen, queue, runner, takeover  # noqa: PLC0415, F401 - in a thread, that is all


async def _wait(event: asyncio.Event, seconds: float, other: asyncio.Event | None = None) -> None:
    """Until one of the events is set, or so many seconds have passed."""
    waiting = [asyncio.create_task(each.wait()) for each in (event, other) if each is not None]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
