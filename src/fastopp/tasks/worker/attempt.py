"""Run one attempt of a job, and judge its outcome."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio.to_thread

from fastopp.database.errors import DatabaseUnavailable
from fastopp.errors import Unavailable
from fastopp.recording import Work
from fastopp.reporting import Kind, Occurrence, Place, within
from fastopp.tasks.arguments import unpack
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import JobLost, TaskResultError, TaskTimeUp, TaskUnknown, Unfinished
from fastopp.tasks.failure import describe
from fastopp.tasks.limits import MAX_ARGUMENTS
from fastopp.tasks.outcome import Outcome, Run
from fastopp.tasks.task import Task
from fastopp.tasks.worker.store import Job, JobStore
from fastopp.tracing import Tracing

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


class Attempt:
    """One attempt of a job.

    Parameters
    ----------
    place: the checkpoint of earlier attempts.
    stopping: whether the worker is to end, or the job is no longer its own.
    threads: for plain functions.
    deadline: when the function is to stop, by the runtime's monotonic clock; None where it has all the time.
    """

    def __init__(
        self,
        runtime: Host,
        store: JobStore,
        worker_id: int,
        job: Job,
        *,
        place: dict[str, Any] | None,
        stopping: Callable[[], bool],
        threads: anyio.CapacityLimiter,
        deadline: float | None,
    ) -> None:
        self.job = job
        self._runtime = runtime
        self._store = store
        self._worker_id = worker_id
        self._threads = threads
        self._deadline = deadline
        self._limits = runtime.task_process.limits
        self._aborted = False
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # or to be cancelled
        self._context = TaskContext(
            runtime=runtime,
            job_id=job.id,
            worker_id=worker_id,
            name=job.task_name,
            attempt=job.attempts + 1,
            place=place,
            report=self._report,
            save=lambda place: store.save_place(job.id, worker_id, place),
            asked_to_stop=lambda: self._aborted or stopping(),
            deadline=deadline,
        )

    def cancel(self) -> None:
        """Cancel the function."""
        if not self._over.done():
            self._over.set_result(None)

    def abort(self) -> None:
        """Cancel the function, because the job was cancelled."""
        self._aborted = True
        self.cancel()

    async def run(self) -> Outcome:
        """Run the function, and return the outcome, which is yet to be written."""
        recorder = self._runtime.recorder
        if not recorder.enabled:
            return await self._run()
        with recorder.attempt(self.job.task_name) as work:
            if self._runtime.tracing is None:
                outcome = await self._run()
            else:
                outcome = await self._run_traced(self._runtime.tracing, work)
            work.outcome = _in_a_word(outcome)
            return outcome

    async def _run_traced(self, tracing: Tracing, work: Work) -> Outcome:
        """Run it in a span, which is a child of the one that queued the job."""
        job = self.job
        try:
            traceparent = await self._store.traceparent(job.id)
        except Unavailable:
            traceparent = ""
        with tracing.attempt(
            job.task_name, job_id=job.id, attempt=self._context.attempt, traceparent=traceparent
        ) as work.trace:
            return await self._run()

    async def _run(self) -> Outcome:
        job, context = self.job, self._context
        try:
            task = self._runtime.task_process.registry.find(job.task_name)
        except TaskUnknown as error:
            log.error("Job %d failed: %s", job.id, error)  # noqa: TRY400 - the message says it all
            return Outcome(job_id=job.id, status="failed", run=context.run(error=str(error)))
        try:
            with within(Place(self._runtime.errors, task=job.task_name, job_id=job.id, attempt=context.attempt)):
                ended = await self._call(task)
            if isinstance(ended, Returned):
                if context.finished and ended.value is not None:
                    await context.keep_result(ended.value)
            elif not context.finished:
                await self._keep_place()
        finally:
            context.close()
        if self._aborted and not isinstance(ended, Returned):
            outcome = Outcome(job_id=job.id, status="aborted", run=context.run())
        else:
            outcome = self._judge(task, ended)
        await self._record(ended, outcome)
        return outcome

    async def _report(self, run: Run) -> bool:
        """Write progress; whether the job is ours. That it cannot be written is not worth failing for."""
        try:
            return await self._store.report(self.job.id, self._worker_id, run)
        except Unavailable as error:
            log.warning("The progress of job %d could not be written: %s", self.job.id, error)
            return True

    async def _keep_place(self) -> None:
        """At the end of a try that is to be continued: save the place, if it was changed since."""
        if not self._context.has_place_to_keep:
            return
        try:
            await self._context.save_place()
        except (Unavailable, JobLost, TypeError, ValueError, RecursionError) as error:
            log.warning("The checkpoint of job %d could not be saved: %s", self.job.id, type(error).__name__)

    async def _call(self, task: Task) -> Ended:
        """Call the function in a separate task, so that nothing it does to cancellations can stop the worker."""
        calling = asyncio.create_task(self._call_inside(task), name=f"{task.name} {self.job.id}")
        calling.add_done_callback(lambda _: self.cancel())
        await self._over
        if not calling.done():
            calling.cancel()
            await asyncio.wait((calling,), timeout=self._limits.cancel_grace)
            if not calling.done():
                log.warning("Task %s (job %d) does not end though it was cancelled", task.name, self.job.id)
            if not calling.done() or calling.cancelled():
                return Interrupted()
        if calling.cancelled():
            # It has cancelled itself, which is a failure like any other.
            return Raised(asyncio.CancelledError("The task has cancelled itself."))
        return calling.result()

    async def _call_inside(self, task: Task) -> Ended:
        try:
            given = dict(self.job.args)
            if "timestamp" not in task.parameters:
                given.pop("timestamp", None)  # procrastinate gives it to every periodic job
            values = unpack(task, given)
            positional = (self._context,) if task.takes_context else ()
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

    async def _record(self, ended: Ended, outcome: Outcome) -> None:
        """Record the error of an attempt that has failed, and what the task has reported."""
        error: BaseException | None = TaskTimeUp() if outcome.status == "failed" else None
        if isinstance(ended, Raised):
            error = None if isinstance(ended.error, (Unfinished, JobLost, DatabaseUnavailable)) else ended.error
        if error is not None and outcome.status in ("failed", "todo"):
            kind: Kind = "task" if outcome.status == "failed" else "retry"
            job = self.job
            occurrence = Occurrence(error, kind, None, job.task_name, job.id, self._context.attempt)
            self._runtime.errors.add(occurrence)
        if self._runtime.errors.waiting:
            await self._runtime.errors.flush()

    def _judge(self, task: Task, ended: Ended) -> Outcome:
        job, context = self.job, self._context
        if context.finished:
            if isinstance(ended, Raised):
                log.error(
                    "Task %s (job %d) raised after it had ended: %s", task.name, job.id, self._describe(ended.error)
                )
            return Outcome(job_id=job.id, status="succeeded", written=True)
        if isinstance(ended, Returned):
            return Outcome(job_id=job.id, status="succeeded", run=context.run(result=ended.value))
        if isinstance(ended, Interrupted):
            return self._interrupted(task)
        error = ended.error
        if isinstance(error, Unfinished):
            return Outcome(job_id=job.id, status="todo", counted=False, run=context.run())
        if isinstance(error, JobLost):
            return Outcome(job_id=job.id, status="todo", counted=False)  # which changes nothing
        text = self._describe(error)
        # An error may bring what is to be kept beside its text, as a report of what was done nevertheless.
        result = getattr(error, "result", None)
        run = context.run(error=text, result=None if _refusal(result) else result)
        away = isinstance(error, DatabaseUnavailable)
        if away and context.attempt < max(task.retry.attempts, self._limits.interruptions):
            log.warning("Task %s (job %d) goes back to the queue: %s", task.name, job.id, text)
            pause = self._limits.database_away.pause(context.attempt)
            return Outcome(job_id=job.id, status="todo", pause=pause, run=run)
        again = context.attempt < task.retry.attempts and isinstance(error, task.retry.on)
        if again and not isinstance(error, TaskResultError):
            log.warning("Task %s (job %d) failed and will be tried again: %s", task.name, job.id, text)
            return Outcome(job_id=job.id, status="todo", pause=task.retry.pause(context.attempt), run=run)
        log.error("Task %s (job %d) failed: %s", task.name, job.id, text)
        return Outcome(job_id=job.id, status="failed", run=run)

    def _interrupted(self, task: Task) -> Outcome:
        """It was cancelled: because its time was up, which counts, or because the process is to end, which does not."""
        job, context = self.job, self._context
        if self._deadline is None or self._runtime.clock.monotonic() < self._deadline:
            return Outcome(job_id=job.id, status="todo", counted=False, run=context.run())
        text = str(TaskTimeUp())
        if context.attempt < max(task.retry.attempts, self._limits.interruptions):
            log.warning("Task %s (job %d) goes back to the queue: %s", task.name, job.id, text)
            return Outcome(job_id=job.id, status="todo", run=context.run() or Run())
        log.error("Task %s (job %d) failed: %s", task.name, job.id, text)
        return Outcome(job_id=job.id, status="failed", run=context.run(error=text))

    def _describe(self, error: BaseException) -> str:
        return describe(error, self._runtime.settings)


def _in_a_word(outcome: Outcome) -> str:
    """Return how an attempt ended, for the figures."""
    if outcome.status != "todo":
        return outcome.status
    return "retried" if outcome.run and outcome.run.error else "requeued"


def _check_result(task: Task, value: Any) -> None:  # noqa: ANN401 - the function's result
    if reason := _refusal(value):
        raise TaskResultError(f"Task {task.name} returned a value that {reason}.")


def _refusal(value: Any) -> str:  # noqa: ANN401 - the function's result
    """Return why a value cannot be kept as a result; an empty text if it can."""
    if value is None:
        return ""
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError):
        return f"is not valid JSON ({type(value).__name__})"
    return "is too large, or contains a NUL character" if len(text) > MAX_ARGUMENTS or "\\u0000" in text else ""
