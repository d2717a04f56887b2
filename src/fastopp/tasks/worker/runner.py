"""Run one attempt of a job, and turn its result into an outcome."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from procrastinate import exceptions, jobs
from procrastinate.job_context import AbortReason, JobContext

from fastopp.database.errors import DatabaseUnavailable
from fastopp.tasks.arguments import unpack
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import JobLost, TaskResultError, TaskTimeUp, Unfinished
from fastopp.tasks.failure import describe
from fastopp.tasks.limits import MAX_ARGUMENTS
from fastopp.tasks.outcome import Outcome, Run
from fastopp.tasks.task import Task
from fastopp.tasks.worker.fenced import FencedJobManager

if TYPE_CHECKING:
    from fastopp.tasks.host import Host

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Returned:
    """The function returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The function raised."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The function was cancelled, by the worker."""


Ended = Returned | Raised | Interrupted


class Again(Exception):
    """Make procrastinate put the job back."""


class Failed(Exception):
    """Make procrastinate mark the job as failed."""


class Runner:
    """Runs the jobs of one worker.

    Parameters
    ----------
    deadline: when functions are to stop, by the runtime's monotonic clock; None where they have all the time.
    """

    def __init__(self, runtime: Host, manager: FencedJobManager, *, concurrency: int, deadline: float | None) -> None:
        self.runtime = runtime
        self.manager = manager
        self.deadline = deadline
        self._limits = runtime.task_process.limits
        self._running: set[asyncio.Task[Any]] = set()
        self._all_cancelled = False
        # Separate threads: FastAPI's are for requests. A detached one keeps its slot until it ends.
        self._threads = anyio.CapacityLimiter(3 * concurrency)
        self.done = self.failed = self.requeued = 0

    async def run(self, task: Task, job_context: JobContext, args: Mapping[str, Any]) -> None:
        """One try. Returns when it succeeded; raises Again, Failed or JobAborted for procrastinate otherwise."""
        running = asyncio.current_task()
        assert running is not None  # noqa: S101 - it is a coroutine
        self._running.add(running)
        try:
            await self._run(task, job_context, args)
        finally:
            self._running.discard(running)

    def cancel_all(self) -> None:
        """Cancel the tries under way, and those that are yet to begin."""
        self._all_cancelled = True
        for running in self._running:
            running.cancel()

    async def _run(self, task: Task, job_context: JobContext, args: Mapping[str, Any]) -> None:
        job = job_context.job
        assert job.id is not None  # noqa: S101 - it comes from the database
        assert self.manager.worker_id is not None  # noqa: S101 - it has fetched the job
        job_id, worker_id = job.id, self.manager.worker_id
        if self._all_cancelled:
            self._note(Outcome(job_id=job_id, status="todo", counted=False))
            raise Again
        try:
            # Of a task that can ask for it, what earlier tries have saved.
            place = await self.manager.store.place(job_id) if task.takes_context else None
        except (exceptions.ConnectorException, asyncio.CancelledError) as error:
            # Cancelled: the time is up before it began. procrastinate would take that for an abort request.
            self._note(Outcome(job_id=job_id, status="todo", counted=False))
            raise Again from error
        context = TaskContext(
            runtime=self.runtime,
            job_id=job_id,
            worker_id=worker_id,
            name=task.name,
            attempt=job.attempts + 1,
            place=place,
            report=lambda run: self._report(job_id, worker_id, run),
            save=lambda place: self.manager.store.save_place(job_id, worker_id, place),
            asked_to_stop=lambda: self.manager.stopping.is_set() or self.manager.lost or job_context.should_abort(),
            deadline=self.deadline,
        )
        try:
            ended = await self._call(task, context, args)
            if context.finished and isinstance(ended, Returned) and ended.value is not None:
                await context.keep_result(ended.value)
            if not (context.finished or isinstance(ended, Returned)):
                await self._keep_place(context)
        finally:
            context.close()
            self.manager.function_returned(job_id)
        if job_context.abort_reason() is AbortReason.USER_REQUEST and not isinstance(ended, Returned):
            self._note(Outcome(job_id=job_id, status="aborted", run=context.run()))
            raise exceptions.JobAborted
        outcome = self._judge(task, job, context, ended)
        self._note(outcome)
        if outcome.status == "todo":
            raise Again
        if outcome.status == "failed":
            raise Failed

    async def _report(self, job_id: int, worker_id: int, run: Run) -> bool:
        """Write progress; whether the job is ours. That it cannot be written is not worth failing for."""
        try:
            return await self.manager.store.report(job_id, worker_id, run)
        except exceptions.ConnectorException as error:
            log.warning("The progress of job %d could not be written: %s", job_id, error)
            return True

    async def _keep_place(self, context: TaskContext) -> None:
        """At the end of a try that is to be continued: save the place, if it was changed since."""
        if not context.has_place_to_keep:
            return
        try:
            await context.save_place()
        except (
            exceptions.ConnectorException, JobLost, TypeError, ValueError, RecursionError, asyncio.CancelledError
        ) as error:  # fmt: skip
            log.warning("The checkpoint of job %d could not be saved: %s", context.job_id, type(error).__name__)

    def _note(self, outcome: Outcome) -> None:
        self.manager.outcomes[outcome.job_id] = outcome
        if outcome.status == "succeeded":
            self.done += 1
        elif outcome.status == "todo" and not (outcome.run and outcome.run.error):
            self.requeued += 1
        else:
            self.failed += 1

    async def _call(self, task: Task, context: TaskContext, args: Mapping[str, Any]) -> Ended:
        """Call the function in a separate task, so that nothing it does to cancellations can stop the worker."""
        calling = asyncio.create_task(self._call_inside(task, context, args), name=f"{task.name} {context.job_id}")
        try:
            await asyncio.wait((calling,))
        except asyncio.CancelledError:
            calling.cancel()
            try:
                await asyncio.wait((calling,), timeout=self._limits.cancel_grace)
            except asyncio.CancelledError:
                log.debug("Cancelled once more")
            if not calling.done():
                log.warning("Task %s (job %d) does not end though it was cancelled", task.name, context.job_id)
            if not calling.done() or calling.cancelled():
                return Interrupted()
        if calling.cancelled():
            # It has cancelled itself, which is a failure like any other.
            return Raised(asyncio.CancelledError("The task has cancelled itself."))
        return calling.result()

    async def _call_inside(self, task: Task, context: TaskContext, args: Mapping[str, Any]) -> Ended:
        try:
            known = dict(args)
            if "timestamp" in known and "timestamp" not in task.parameters:
                del known["timestamp"]  # procrastinate gives it to every periodic job
            values = unpack(task, known)
            positional = (context,) if task.takes_context else ()
            if task.is_async:
                value = await task.function(*positional, **values)
            else:
                value = await anyio.to_thread.run_sync(
                    lambda: task.function(*positional, **values), abandon_on_cancel=True, limiter=self._threads
                )
            _check_result(task, value)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - the edge: a task may raise anything, and ends nothing but itself
            return Raised(error)
        return Returned(value)

    def _judge(self, task: Task, job: jobs.Job, context: TaskContext, ended: Ended) -> Outcome:
        job_id = context.job_id
        if context.finished:
            if isinstance(ended, Raised):
                log.error(
                    "Task %s (job %d) raised after it had ended: %s", task.name, job_id, self._describe(ended.error)
                )
            return Outcome(job_id=job_id, status="succeeded", written=True)
        if isinstance(ended, Returned):
            return Outcome(job_id=job_id, status="succeeded", run=context.run(result=ended.value))
        if isinstance(ended, Interrupted):
            return self._interrupted(task, job, context)
        error = ended.error
        if isinstance(error, Unfinished):
            return Outcome(job_id=job_id, status="todo", counted=False, run=context.run())
        if isinstance(error, JobLost):
            return Outcome(job_id=job_id, status="todo", counted=False)  # which changes nothing
        text = self._describe(error)
        attempt = job.attempts + 1
        # An error may bring what is to be kept beside its text, as a report of what was done nevertheless.
        result = getattr(error, "result", None)
        run = context.run(error=text, result=result if _can_keep(result) else None)
        away = isinstance(error, (DatabaseUnavailable, exceptions.ConnectorException))
        if away and attempt < max(task.retry.attempts, self._limits.interruptions):
            log.warning("Task %s (job %d) goes back to the queue: %s", task.name, job_id, text)
            return Outcome(job_id=job_id, status="todo", pause=self._limits.database_away.pause(attempt), run=run)
        again = attempt < task.retry.attempts and isinstance(error, task.retry.on)
        if again and not isinstance(error, TaskResultError):
            log.warning("Task %s (job %d) failed and will be tried again: %s", task.name, job_id, text)
            return Outcome(job_id=job_id, status="todo", pause=task.retry.pause(attempt), run=run)
        log.error("Task %s (job %d) failed: %s", task.name, job_id, text)
        return Outcome(job_id=job_id, status="failed", run=run)

    def _interrupted(self, task: Task, job: jobs.Job, context: TaskContext) -> Outcome:
        """It was cancelled: because its time was up, which counts, or because the process is to end, which does not."""
        if self.deadline is None or self.runtime.clock.monotonic() < self.deadline:
            return Outcome(job_id=context.job_id, status="todo", counted=False, run=context.run())
        text = str(TaskTimeUp())
        if job.attempts + 1 < max(task.retry.attempts, self._limits.interruptions):
            log.warning("Task %s (job %d) goes back to the queue: %s", task.name, context.job_id, text)
            run = context.run()
            return Outcome(job_id=context.job_id, status="todo", run=run or Run())
        log.error("Task %s (job %d) failed: %s", task.name, context.job_id, text)
        return Outcome(job_id=context.job_id, status="failed", run=context.run(error=text))

    def _describe(self, error: BaseException) -> str:
        return describe(error, self.runtime.settings)


def _can_keep(value: object) -> bool:
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return False
    return len(text) <= MAX_ARGUMENTS and "\\u0000" not in text


def _check_result(task: Task, value: Any) -> None:  # noqa: ANN401 - the function's result
    if value is None:
        return
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        message = f"Task {task.name} returned a value that is not valid JSON ({type(value).__name__})."
        raise TaskResultError(message) from error
    if len(text) > MAX_ARGUMENTS or "\\u0000" in text:
        raise TaskResultError(f"Task {task.name} returned a value that is too large, or contains a NUL character.")
