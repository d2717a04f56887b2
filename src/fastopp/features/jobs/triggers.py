"""Tasks that a scheduler, an async platform or a program starts: worked to their end inside the request.

Clients retry on any response but 2xx, so only success is answered with it, and the next call
goes on where this one stopped. `?enqueue=1` leaves the work to the queue instead. A request with an `Idempotency-Key`
may be delivered again for a day: it is served once.
"""

from __future__ import annotations

import json
import math
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import JSONResponse

from fastopp.clock import Clock
from fastopp.core.dependencies import RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.database.migrations.errors import DataWouldBeLost
from fastopp.errors import FastOppError
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.features.files.storage_tasks import check_storage
from fastopp.features.jobs.trigger_direct import DIRECT, run_directly
from fastopp.platforms import strictest
from fastopp.tasks import idempotency
from fastopp.tasks.errors import AlreadyQueued, AlreadyRunning, TaskArguments
from fastopp.tasks.idempotency import RequestKey
from fastopp.tasks.queue.status import TaskStatus
from fastopp.web.answers import NO_STORE
from fastopp.web.api_docs import problems

TASKS = "/async/tasks"  # where a task is looked at

AS_LONG_AS_IT_TAKES = timedelta(days=7)  # where the platform sets no limit to a request

_AGAIN_SOON = {"Retry-After": "5"}  # seconds, when nothing better is known

_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["status", "message", "details", "task_id"],
    "properties": {
        "status": {"enum": ["success", "queued", "running", "partial", "cancelled", "error"]},
        "message": {"type": "string"},
        "details": {"type": "object", "additionalProperties": True},
        "task_id": {"type": ["integer", "null"]},
    },
}


def _documented(description: str, *, also_problem: bool = False) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _ANSWER}}
    if also_problem:
        content["application/problem+json"] = {"schema": {"type": "object", "additionalProperties": True}}
    return {"description": description, "content": content}


_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: _documented("It has succeeded."),
    202: _documented("It is queued; `Location` is where to look at it."),
    409: _documented("The same task is running, or it was cancelled.", also_problem=True),
    500: _documented("It has failed.", also_problem=True),
    503: _documented("It is not finished: the time was up, or it is retried. Call again.", also_problem=True),
}
_BODY = {
    "requestBody": {
        "description": "The task's arguments, by name; empty if it needs none.",
        "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
    }
}

Enqueue = Annotated[
    bool, Query(description="Only queue it, and answer 202. `Prefer: respond-async` does the same (RFC 7240).")
]

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias=idempotency.HEADER,
        description="Identifies this request for a day: repeats with the same key get the same response.",
    ),
]

router = APIRouter(prefix="/async", tags=["async"], responses=problems(400, 401, 403, 404, 413, 422) | _RESPONSES)


@router.post("/init-demo", summary="Initialise the project", max_body_size=strictest.ASYNC_BODY, openapi_extra=_BODY)
async def init_demo(
    request: Request,
    runtime: RuntimeDep,
    operator: DetachedOperator,
    *,
    enqueue: Enqueue = False,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Tables, the first superuser, and the sample data of every app. Repeating it changes nothing that is there.

    `details.superuser_password` is there only when this very call generated one; it is kept nowhere else.
    """
    return await _start(request, runtime, "init-demo", RequestKey.of(idempotency_key), enqueue=enqueue)


@router.post("/{name}", summary="Run a task", max_body_size=strictest.ASYNC_BODY, openapi_extra=_BODY)
async def run_task(
    request: Request,
    runtime: RuntimeDep,
    operator: DetachedOperator,
    name: str,
    *,
    enqueue: Enqueue = False,
    idempotency_key: IdempotencyKey = None,
) -> JSONResponse:
    """Any task of the project by its name, and FastOpp's own: `backup-files`, `restore-files` (`overwrite`),
    `backup-database`, `migrate` (`allow_drop`), `clean-up` (`keep_days`).

    A call that finds the same task waiting, failed or left behind by a process that died goes on with it.
    """
    return await _start(request, runtime, name, RequestKey.of(idempotency_key), enqueue=enqueue)


async def _start(
    request: Request, runtime: Runtime, name: str, key: RequestKey | None, *, enqueue: bool
) -> JSONResponse:
    arguments = await _arguments(request)
    check_storage(name, runtime.settings)
    if enqueue or "respond-async" in _preferences(request):
        return await _queue(runtime, name, arguments, key)
    return await _run(runtime, name, arguments, key)


async def _queue(runtime: Runtime, name: str, arguments: dict[str, Any], key: RequestKey | None) -> JSONResponse:
    message = "It is queued."
    try:
        async with runtime.database.transaction() as session:
            task = await runtime.tasks.within(session).once(key).queue(name, **arguments)
    except AlreadyQueued as waiting:
        # Delivered twice, it is queued all the same; with other arguments it is not what was asked for.
        if waiting.task_id is None or (task := await runtime.tasks.get(waiting.task_id)).args != arguments:
            raise
        message = "It is waiting already."
        await runtime.task_process.wake()  # the wake-up of the first time may have been lost
    headers = {"Location": f"{TASKS}/{task.id}", "Preference-Applied": "respond-async"}
    return _answer(202, "queued", message, {}, task.id, headers)


async def _run(runtime: Runtime, name: str, arguments: dict[str, Any], key: RequestKey | None) -> JSONResponse:
    from fastopp.features.setup.tasks import told_once  # noqa: PLC0415 - brings in what the initialisation needs

    seconds = runtime.settings.platform.request_budget
    budget = AS_LONG_AS_IT_TAKES if seconds is None else timedelta(seconds=seconds)
    told: dict[str, str] = {}
    listening = told_once.set(told)
    try:
        if key is not None and (kept := await idempotency.kept_answer(runtime.database, key, name)) is not None:
            return JSONResponse(kept, headers=NO_STORE)
        task = await runtime.tasks.once(key).run(name, budget, **arguments)
    except AlreadyRunning as running:
        return _answer(409, "running", str(running), {}, running.task_id, _AGAIN_SOON)
    except (TablesMissing, DatabaseUnavailable):
        if name not in DIRECT:
            raise
        # Without tables there is no row for it: the task that creates the tables is run anyway.
        return await _run_without_queue(runtime, name, arguments, told, key)
    finally:
        told_once.reset(listening)
    return _tell(task, told, runtime.clock)


async def _run_without_queue(
    runtime: Runtime, name: str, arguments: dict[str, Any], told: dict[str, str], key: RequestKey | None
) -> JSONResponse:
    try:
        details = await run_directly(runtime, name, arguments)
    except TaskArguments:
        raise
    except FastOppError as error:
        details = dict(getattr(error, "result", {}))
        message = details.pop("message", str(error))
        status = error.status if isinstance(error, DataWouldBeLost) else max(error.status, 500)
        return _answer(status, "error", message, details | told, None, error.headers)
    message = details.pop("message")
    details["without_queue"] = "There were no tables to queue it in, so it was run directly."
    if key is not None:
        # Without a generated password, which is kept nowhere.
        await idempotency.keep_answer(runtime.database, key, name, _content("success", message, details, None))
    return _answer(200, "success", message, details | told, None)


def _tell(task: TaskStatus, told: dict[str, str], clock: Clock) -> JSONResponse:
    """The answer for a task that this request has worked on."""
    result = task.result
    details: dict[str, Any] = dict(result) if isinstance(result, dict) else {} if result is None else {"result": result}
    message: str = details.pop("message", "")
    details |= told
    if task.status == "succeeded":
        return _answer(200, "success", message or task.message or "The task is done.", details, task.id)
    if task.status == "cancelled":
        return _answer(409, "cancelled", "It was cancelled. Call again to start over.", details, task.id)
    if task.status == "running":  # another process has taken it over meanwhile
        return _answer(409, "running", "Another process works on it.", details, task.id, _AGAIN_SOON)
    if task.error:
        details["error"] = task.error
        why = task.error.partition("\n")[0]
        if task.status == "failed":
            code = DataWouldBeLost.status if "would_drop" in details else 500
            return _answer(code, "error", message or f"The task has failed: {why}", details, task.id)
        message = f"{message} It is tried again." if message else f"The task has failed and is tried again: {why}"
        return _answer(503, "error", message, details, task.id, _when(task, clock))
    return _answer(503, "partial", "The time was up; call again for the rest.", details, task.id, _when(task, clock))


def _when(task: TaskStatus, clock: Clock) -> dict[str, str]:
    if task.scheduled_at is None:
        return {"Retry-After": "1"}
    seconds = (task.scheduled_at - clock.now()).total_seconds()
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _answer(
    status_code: int,
    status: str,
    message: str,
    details: dict[str, Any],
    task_id: int | None,
    headers: Any = None,  # noqa: ANN401 - any mapping
) -> JSONResponse:
    return JSONResponse(_content(status, message, details, task_id), status_code, NO_STORE | dict(headers or {}))


def _content(status: str, message: str, details: dict[str, Any], task_id: int | None) -> dict[str, Any]:
    return {"status": status, "message": message, "details": details, "task_id": task_id}


async def _arguments(request: Request) -> dict[str, Any]:
    """Return the arguments in the body. Raises TaskArguments."""
    body = await request.body()
    if not body.strip():
        return {}
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise TaskArguments("The request body is not JSON.") from None
    if not isinstance(given, dict):
        raise TaskArguments("The request body must be a JSON object of named arguments.")
    return given


def _preferences(request: Request) -> set[str]:
    lines = request.headers.getlist("prefer")
    return {part.partition(";")[0].strip().lower() for line in lines for part in line.split(",")}
