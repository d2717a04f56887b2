"""/oppman/tasks: what waits, runs and failed, live; starting, cancelling, retrying and working tasks from a page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from math import ceil
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Path, Query, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel, Field, Json

from fastopp.clock import Clock
from fastopp.core.dependencies import ClockDep, DatabaseDep, PrimarySessionDep, RuntimeDep, TasksDep
from fastopp.core.runtime import Runtime
from fastopp.errors import NotFound
from fastopp.features.accounts import audit
from fastopp.features.accounts.current_user import SuperUser
from fastopp.features.accounts.detached import DetachedSuperUser
from fastopp.features.files.storage_tasks import can_run, check_storage
from fastopp.features.jobs import watch as task_watch
from fastopp.tasks.errors import AlreadyQueued
from fastopp.tasks.queue.report import TaskCounts
from fastopp.tasks.queue.status import STATUSES, Status, TaskStatus
from fastopp.tasks.task import Task
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, prefers_html
from fastopp.web.api_docs import problems
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

PAGE = "/oppman/tasks"
PER_PAGE = 25
SHOWN_RUNNING = 20  # at the head of the page; the list has them all
CHANGED = "tasks-changed"  # the browser event on which the list reloads itself
DONE = "task-done"  # the browser event on which a page reloads what a task may have changed
WORK = "work-tasks"  # the browser event on which the page begins to work the queue
WORK_FOR = timedelta(seconds=15)  # in one of the page's requests: short enough that a proxy does not give up
WAITS_FOR = 15 * 60  # seconds: what is due later than that, an open page does not wait for
WORK_AGAIN = 3  # seconds until the page's next request when what is left had to wait: for a lock, for others

MAX_NAME = 128  # characters, as the tables have it
MAX_ID = 2**63 - 1

router = APIRouter(
    prefix=PAGE, tags=["tasks"], route_class=OperationRoute, responses=problems(401, 403, 404, 409, 422, 503)
)

Number = Annotated[int, Path(ge=1, le=MAX_ID)]


async def _may_stream(runtime: RuntimeDep) -> None:
    """Dependency: where nothing runs between requests, a stream would cost what an idle server does not."""
    if not runtime.settings.platform.background_cpu:
        raise NotFound


class Wanted(BaseModel):
    """The filter: the parameters of the page."""

    status: Annotated[Status | Literal[""], Field(description="List only tasks in this state.")] = ""
    name: Annotated[CleanText, Field(max_length=MAX_NAME, description="List only tasks with this name.")] = ""
    queue: Annotated[CleanText, Field(max_length=MAX_NAME, description="List only tasks in this queue.")] = ""
    before: Annotated[int | None, Field(ge=1, le=MAX_ID, description="List only tasks older than this number.")] = None


@router.get("", summary="Tasks, and how many there are in each state")
async def tasks_page(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    tasks: TasksDep,
    superuser: SuperUser,
    wanted: Annotated[Wanted, Query()],
) -> Response:
    """The page; for htmx its list alone; JSON for programs."""
    # Looked at first: what happens after it makes the page ask again.
    state = (await task_watch.look(session))["state"]
    found = await tasks.list(
        status=wanted.status or None,
        name=wanted.name or None,
        queue=wanted.queue or None,
        before=wanted.before,
        limit=PER_PAGE + 1,
    )
    shown, older = found[:PER_PAGE], found[PER_PAGE - 1].id if len(found) > PER_PAGE else None
    counts = await tasks.counts()
    headers = NO_STORE | {"Vary": "HX-Request, Accept"}
    if not (is_htmx(request) or prefers_html(request)):
        answer = {"tasks": [task.as_json() for task in shown], "older": older, "counts": counts.statuses}
        return JSONResponse(answer, headers=headers)
    figures = {status: counts.statuses.get(status, 0) for status in STATUSES}
    context = {
        "wanted": wanted.model_dump(),
        "tasks": shown,
        "older": older,
        "running": await tasks.list(status="running", limit=SHOWN_RUNNING) if figures["running"] else [],
        "figures": figures,
        "queues": _by_queue(counts),
        "names": sorted({task for _, task, _, _ in counts.groups}),
        "health": _health(counts),
        "state": state,
        "stream": runtime.settings.platform.background_cpu,
        "pages_work": pages_work(runtime),
        **_working(0 if figures["waiting"] else await _until_next(runtime) if pages_work(runtime) else None),
    }
    if is_htmx(request):
        return render(request, "ops/_tasks.html", context, headers=headers)
    return render(request, "ops/tasks.html", context | {"startable": _startable(runtime)}, headers=headers)


@router.get("/events", include_in_schema=False, response_class=EventSourceResponse, dependencies=[Depends(_may_stream)])
async def follow(
    database: DatabaseDep, clock: ClockDep, superuser: DetachedSuperUser
) -> AsyncIterator[ServerSentEvent]:
    """`tasks` events for the page: {progress: [{id, done, total, message}], state}."""
    async for seen in task_watch.watch(database, clock):
        yield ServerSentEvent(event="tasks", data=seen)


@router.post("", status_code=202, summary="Queue a task")
async def start(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    tasks: TasksDep,
    superuser: SuperUser,
    name: Annotated[CleanText, Form(max_length=MAX_NAME)],
    args: Annotated[Json[dict[str, Any]], Form(description="Its arguments, as JSON.")] = {},  # noqa: B006 - FastAPI copies
) -> Response:
    """One that may wait only once, and does, is shown instead of queued again."""
    check_storage(name, runtime.settings)
    note = ""
    try:
        task = await tasks.queue(name, **args)
        await audit.record(session, superuser, "queue", "tasks", task.id, {"name": name}, request)
    except AlreadyQueued as error:
        if error.task_id is None:
            raise
        task, note = await tasks.get(error.task_id), "It is already queued; this is its progress."
    return _shown(request, runtime, task, note=note, status_code=202, started=True)


@router.post("/work", summary="Run queued tasks for some seconds")
async def work(request: Request, runtime: RuntimeDep, superuser: DetachedSuperUser) -> Response:
    """Run queued tasks; polled by the page itself, where nothing runs between requests."""
    report = await runtime.tasks.drain(WORK_FOR)
    if is_htmx(request):
        pause = await _until_next(runtime) if report.left == 0 else 0 if report.done + report.failed else WORK_AGAIN
        return render(request, "ops/_work.html", _working(pause), headers=NO_STORE | {"HX-Trigger": CHANGED})
    if prefers_html(request):
        return RedirectResponse(PAGE, 303, NO_STORE)
    return JSONResponse(report._asdict(), headers=NO_STORE)


@router.get("/{task_id}", summary="One task")
async def show(
    request: Request, runtime: RuntimeDep, tasks: TasksDep, superuser: SuperUser, task_id: Number
) -> Response:
    """Its page; for htmx a card that asks for itself until the task is done; JSON for programs."""
    return _shown(request, runtime, await tasks.get(task_id))


@router.post("/{task_id}/cancel", summary="Take a task out of the queue, or ask a running one to stop")
async def cancel(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    tasks: TasksDep,
    superuser: SuperUser,
    task_id: Number,
) -> Response:
    """409 when it has ended."""
    task = await tasks.cancel(task_id)
    await audit.record(session, superuser, "cancel", "tasks", task_id, {"name": task.name}, request)
    return _shown(request, runtime, task)


@router.post("/{task_id}/retry", summary="Put a failed, cancelled or stalled task back into the queue")
async def retry(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    tasks: TasksDep,
    superuser: SuperUser,
    task_id: Number,
) -> Response:
    """One that is to be tried again later starts now. 409 when it runs, or succeeded."""
    task = await tasks.retry(task_id)
    await audit.record(session, superuser, "retry", "tasks", task_id, {"name": task.name}, request)
    return _shown(request, runtime, task, started=True)


async def _until_next(runtime: Runtime) -> int | None:
    """Seconds until a task is due that is to be tried again, or starts later; None when none is due soon."""
    later = await runtime.tasks.list(status="scheduled", limit=PER_PAGE)
    return min((due for task in later if (due := _due_in(task, runtime.clock)) is not None), default=None)


def _due_in(task: TaskStatus, clock: Clock) -> int | None:
    """Seconds until a scheduled task is due; None when that is not soon."""
    if task.status != "scheduled" or task.scheduled_at is None:
        return None
    pause = (task.scheduled_at - clock.now()).total_seconds()
    return max(1, ceil(pause)) if pause < WAITS_FOR else None


def _working(pause: int | None) -> dict[str, Any]:
    """For `_work.html`: whether something is left to work, and in how many seconds."""
    return {"again": pause is not None, "pause": pause}


def _shown(
    request: Request,
    runtime: Runtime,
    task: TaskStatus,
    *,
    note: str = "",
    status_code: int = 200,
    started: bool = False,
) -> Response:
    """A task in the format that the client accepts. After a change, a browser without JavaScript is redirected."""
    headers = NO_STORE | {"Vary": "HX-Request, HX-Target, Accept"}
    of_page = request.headers.get("hx-target") == "details"  # the page itself, which takes a part of it
    if is_htmx(request) and not of_page:
        if request.method == "POST":
            headers["HX-Trigger"] = f"{CHANGED}, {WORK}" if started else CHANGED
        elif task.is_over:
            headers["HX-Trigger"] = DONE
        return render(request, "ops/_task.html", {"task": task, "note": note}, headers=headers)
    if prefers_html(request) or of_page:
        if request.method == "POST":
            return RedirectResponse(f"{PAGE}/{task.id}", 303, headers)
        context = {
            "task": task,
            "note": note,
            "args": _pretty(task.args),
            "result": "" if task.result is None else _pretty(task.result),
            "pages_work": pages_work(runtime),
            **_working(0 if task.status == "waiting" else _due_in(task, runtime.clock)),
        }
        return render(request, "ops/task.html", context, headers=headers)
    return JSONResponse(
        task.as_json(), status_code, headers | {"Location": f"{PAGE}/{task.id}"} if started else headers
    )


def pages_work(runtime: Runtime) -> bool:
    """Return whether tasks are worked by the requests of the page that started them: nothing else would do it."""
    return not runtime.settings.platform.background_cpu and not runtime.settings.wake_url


def _by_queue(counts: TaskCounts) -> dict[str, dict[str, int]]:
    """For each queue, how many there are in each state."""
    queues: dict[str, dict[str, int]] = {}
    for queue, _, status, count in sorted(counts.groups):
        row = queues.setdefault(queue, {})
        row[status] = row.get(status, 0) + count
    return queues


def _health(counts: TaskCounts) -> list[tuple[str, str]]:
    """Describe whether anything runs tasks."""
    oldest = counts.oldest_waiting
    return [
        ("Workers alive", f"{counts.workers:,}" if counts.workers else "none"),
        ("Stalled tasks", f"{counts.stalled:,}" if counts.stalled else "none"),
        ("Longest waiting", "none waits" if oldest is None else f"{timedelta(seconds=int(oldest))}"),
    ]


def _startable(runtime: Runtime) -> list[Task]:
    """Tasks that need no argument and can be run here."""
    runnable = (task for task in runtime.tasks.known if can_run(task.name, runtime.settings))
    return sorted(
        (task for task in runnable if all(p.default is not p.empty for p in task.parameters.values())),
        key=lambda task: task.name,
    )


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
