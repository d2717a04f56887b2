"""Tasks for programs: what is queued, running, done or failed; cancel one, or try it again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from fastapi.responses import JSONResponse

from fastopp.core.dependencies import RuntimeDep
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.tasks.queue.status import Status, TaskStatus
from fastopp.tasks.task import MAX_NAME
from fastopp.web.answers import NO_STORE
from fastopp.web.api_docs import problems

PREFIX = "/async/tasks"
MAX_ID = 2**63 - 1  # of a bigint
PER_PAGE = 50
MAX_PER_PAGE = 200

router = APIRouter(prefix=PREFIX, tags=["async"], responses=problems(401, 403, 404, 409, 422, 503))

TaskId = Annotated[int, Path(ge=1, le=MAX_ID)]
Name = Annotated[str | None, Query(max_length=MAX_NAME)]

_TASK: dict[str, Any] = {
    "description": "The task.",
    "content": {"application/json": {"schema": {"type": "object", "additionalProperties": True}}},
}


@router.get("", summary="Tasks, newest first", responses={200: _TASK | {"description": "A page of tasks."}})
async def list_tasks(
    runtime: RuntimeDep,
    operator: DetachedOperator,
    status: Annotated[Status | None, Query(description="List only tasks in this state.")] = None,
    name: Name = None,
    queue: Name = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PER_PAGE, description="Tasks of a page.")] = PER_PAGE,
    before: Annotated[int | None, Query(ge=1, le=MAX_ID, description="`next` of the page before.")] = None,
) -> JSONResponse:
    """`next` leads to the page after this one; it is null on the last."""
    # One more than is shown: it shows whether there are more.
    found = await runtime.tasks.list(
        status=status, name=_storable(name), queue=_storable(queue), limit=limit + 1, before=before
    )
    shown = found[:limit]
    following = shown[-1].id if len(found) > limit else None
    return JSONResponse({"tasks": [task.as_json() for task in shown], "next": following}, headers=NO_STORE)


@router.get("/{task_id}", summary="A task", responses={200: _TASK})
async def show_task(runtime: RuntimeDep, operator: DetachedOperator, task_id: TaskId) -> JSONResponse:
    """Its state, its progress, and its result or error."""
    return _tell(await runtime.tasks.get(task_id))


@router.post("/{task_id}/cancel", summary="Cancel a task", responses={200: _TASK})
async def cancel_task(runtime: RuntimeDep, operator: DetachedOperator, task_id: TaskId) -> JSONResponse:
    """One that waits is cancelled; one that runs is asked to stop. 409 for one that is over."""
    return _tell(await runtime.tasks.cancel(task_id))


@router.post("/{task_id}/retry", summary="Try a task again", responses={202: _TASK})
async def retry_task(runtime: RuntimeDep, operator: DetachedOperator, task_id: TaskId) -> JSONResponse:
    """One that failed is queued again, and goes on where it stopped. 409 for one that did not fail."""
    return _tell(await runtime.tasks.retry(task_id), 202)


def _tell(task: TaskStatus, status_code: int = 200) -> JSONResponse:
    return JSONResponse(task.as_json(), status_code, NO_STORE | {"Location": f"{PREFIX}/{task.id}"})


def _storable(name: str | None) -> str | None:
    """PostgreSQL takes no NUL, and no name has one."""
    return name.replace("\x00", "\ufffd") if name else name
