"""The queue, opened to be worked: procrastinate's connector, our statements, and the project's tasks for its Worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import procrastinate
from procrastinate.connector import BaseAsyncConnector
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from procrastinate.periodic import PeriodicDeferrer
from procrastinate.retry import BaseRetryStrategy, RetryDecision
from procrastinate.worker import Worker

from fastopp.tasks.arguments import fill
from fastopp.tasks.limits import MAX_PERIODIC_DELAY
from fastopp.tasks.task import Task
from fastopp.tasks.worker.fenced import FencedJobManager
from fastopp.tasks.worker.listen import listen_postgres
from fastopp.tasks.worker.runner import Again, Runner
from fastopp.tasks.worker.statements import POSTGRESQL, SQLITE
from fastopp.tasks.worker.store import JobStore

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

CONNECTIONS = 3
"""Of one worker at most: one fetches, one writes what has ended, one is for progress and signs of life."""

FUNCTIONS_AND_ENDINGS = 16
"""How many jobs a worker holds for each function that may run: those whose end is being written are among them."""

WORKERS_OWN_HEARTBEAT = (
    24 * 3600.0
)  # seconds: never. It ends before the worker's last job does, so ours takes its place

POLL_ABORTS = 2.0  # seconds between two questions whether a running job is to be aborted, where nothing is heard
WORKER_NAME = "fastopp"


class JobAgain(BaseRetryStrategy):
    """Leaves the decision to the runner, which knows our Retry."""

    def get_retry_decision(self, *, exception: BaseException, job: Job) -> RetryDecision | None:
        """Put the job back when the runner has said so. The pause is in the outcome, for the database's clock."""
        return RetryDecision() if isinstance(exception, Again) else None


class _Worker(Worker):
    """procrastinate's, which also stops by itself when a side task fails: `stopping` is set then, too."""

    def __init__(self, app: procrastinate.App, stopping: asyncio.Event, **options: Any) -> None:  # noqa: ANN401 - its own
        super().__init__(app, **options)
        self._stopping = stopping

    def stop(self) -> None:
        super().stop()  # type: ignore[no-untyped-call] # procrastinate's
        self._stopping.set()


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue of a runtime's database."""

    runtime: Host
    connector: BaseAsyncConnector
    store: JobStore

    def app(self, manager: FencedJobManager, runner: Runner) -> procrastinate.App:
        """procrastinate's App with the project's tasks, and with our manager."""
        _quieten()
        app = procrastinate.App(connector=self.connector, periodic_defaults={"max_delay": MAX_PERIODIC_DELAY})
        app.job_manager = manager
        for task in self.runtime.task_process.registry.values():
            _register(app, task, runner)
        return app

    async def work(
        self,
        manager: FencedJobManager,
        runner: Runner,
        *,
        concurrency: int,
        stop_timeout: float,
        poll: float | None = None,
        queues: list[str] | None = None,
    ) -> None:
        """Run procrastinate's Worker until `manager.stop()`, and keep up the signs of life to its very end.

        Raises ConnectorException when it cannot sign on.
        """
        limits = self.runtime.task_process.limits
        worker = _Worker(
            self.app(manager, runner),
            manager.stopping,
            queues=queues,
            name=WORKER_NAME,
            concurrency=concurrency * FUNCTIONS_AND_ENDINGS,
            fetch_job_polling_interval=limits.poll if poll is None else poll,
            abort_job_polling_interval=POLL_ABORTS,
            listen_notify=True,  # to our manager, which listens where it can
            install_signal_handlers=False,
            update_heartbeat_interval=WORKERS_OWN_HEARTBEAT,
            stalled_worker_timeout=limits.stalled_after,
        )
        manager.stop_worker = worker.stop
        helpers = [
            asyncio.create_task(manager.keep_alive(), name="signs of life"),
            asyncio.create_task(self._end_in_time(manager, runner, stop_timeout), name="end of the time to stop"),
        ]
        working = asyncio.create_task(worker.run(), name="worker")  # type: ignore[no-untyped-call] # procrastinate's
        try:
            await asyncio.shield(working)
        except asyncio.CancelledError:
            manager.stop()
            await working
            raise
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)

    async def _end_in_time(self, manager: FencedJobManager, runner: Runner, stop_timeout: float) -> None:
        """Cancel what still runs `stop_timeout` seconds after the stop; the Worker's own limit knows no clock."""
        await manager.stopping.wait()
        await self.runtime.clock.sleep(stop_timeout)
        runner.cancel_all()

    async def defer_periodic(self, app: procrastinate.App) -> None:
        """Queue scheduled tasks that are due and not queued yet. Raises ConnectorException."""
        if app.periodic_registry.periodic_tasks:
            deferrer = PeriodicDeferrer(app.periodic_registry, max_delay=MAX_PERIODIC_DELAY)
            await deferrer.defer_jobs(deferrer.get_previous_tasks(at=self.runtime.clock.time()))

    async def listen(self, queued: Callable[[], Awaitable[None]], abort: Callable[[int], Awaitable[None]]) -> None:
        """Notify of what other processes queue and abort, until cancelled; return at once where impossible."""
        database = self.runtime.database
        if database.url.backend == "postgresql":
            await listen_postgres(database.url, queued, abort, timeout=self.runtime.settings.db_timeout)
            return

        async def told(*, channel: str, notification: Any) -> None:  # noqa: ANN401 - procrastinate's signature
            if notification["type"] == "abort_job_requested":
                await abort(notification["job_id"])
            else:
                await queued()

        await JobManager(self.connector).listen_for_jobs(on_notification=told)


@asynccontextmanager
async def open_queue(runtime: Host) -> AsyncIterator[Queue]:
    """Open the queue, without connecting yet, and close it in the end."""
    connector: BaseAsyncConnector
    url = runtime.database.url
    if url.backend == "postgresql":
        from fastopp.tasks.queue.postgres.connector import PostgresConnector  # noqa: PLC0415 - loaded only where it is used

        connector = PostgresConnector(url, connections=CONNECTIONS, timeout=runtime.settings.db_timeout)
        statements = POSTGRESQL
    else:
        from fastopp.tasks.queue.sqlite.connector import SQLiteConnector  # noqa: PLC0415 - as above

        connector = SQLiteConnector(url.database or "", busy_timeout=runtime.settings.db_timeout)
        statements = SQLITE
    stalled_after = runtime.task_process.limits.stalled_after
    await connector.open_async()
    try:
        yield Queue(runtime, connector, JobStore(connector, statements, stalled_after=stalled_after))
    finally:
        await connector.close_async()


def _register(app: procrastinate.App, task: Task, runner: Runner) -> None:
    async def run(context: JobContext, **args: Any) -> None:  # noqa: ANN401 - the task's own
        await runner.run(task, context, args)

    decorate: Any = app.task  # its overloads do not know a function that is given
    made = decorate(run, name=task.name, queue=task.queue, priority=task.priority, pass_context=True, retry=JobAgain())
    for schedule in task.schedules:
        options: Any = {
            "lock": fill(task.lock, schedule.args),
            "queueing_lock": fill(task.queueing_lock, schedule.args),
            "task_kwargs": dict(schedule.args),
        }
        app.periodic(cron=schedule.cron, periodic_id=schedule.id, **options)(made)


def _quieten() -> None:
    """procrastinate logs each job with its arguments, which may be secrets, and each failure with its traceback.

    What the runner logs takes the place of that. Its workers' own troubles are still heard.
    """
    for name in ("procrastinate.worker", "procrastinate.jobs", "procrastinate.periodic", "procrastinate.blueprints"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger(f"procrastinate.worker.{WORKER_NAME}").setLevel(logging.WARNING)
