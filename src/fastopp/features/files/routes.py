"""Backup and restore of uploaded files over HTTP, for operators, and the card on the Oppman page."""

from __future__ import annotations

from http import HTTPStatus
from itertools import chain
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse

from fastopp.core.dependencies import RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.database.errors import TablesMissing
from fastopp.errors import FastOppError
from fastopp.features.accounts import audit
from fastopp.features.accounts.detached import DetachedOperator, DetachedSuperUser
from fastopp.features.accounts.models import User
from fastopp.features.files.file_jobs import FileJobs, Job, as_text
from fastopp.settings import Settings
from fastopp.storage.sync.cached_copies import count_copies
from fastopp.storage.sync.folder import count_files
from fastopp.storage.threads import run_to_end
from fastopp.tasks.queue.status import TaskStatus
from fastopp.tasks.service import BACKUP_TASK, RESTORE_TASK
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, outcome, prefers_html
from fastopp.web.api_docs import problems
from fastopp.web.problems import PROBLEM_JSON
from fastopp.web.templating import render

CHANGED = "files-changed"  # the event on which the card loads its state again
FAILED = 502  # some files did not arrive: the answer lists them

_ANYTHING = {"schema": {"type": "object", "additionalProperties": True}}
# A failure of a job is returned like its report: `status`, `message`, `files_count`.
_REPORTS: dict[int | str, dict[str, Any]] = {
    status: {
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": _ANYTHING, PROBLEM_JSON: _ANYTHING},
    }
    for status in (409, 500, FAILED, 503)
}

Overwrite = Annotated[bool, Form(description="Also replace newer files in the folder.")]


def create_router(settings: Settings) -> APIRouter:
    """The routes; they share what runs in this process."""
    router = APIRouter(tags=["files"], route_class=OperationRoute, responses=problems(401, 403, 422) | _REPORTS)
    jobs = FileJobs()

    @router.post("/admin/backup-files", summary="Back up the uploaded files")
    async def backup_files(request: Request, runtime: RuntimeDep, operator: DetachedOperator) -> Response:
        """Everything in the upload folder that the Object Storage has not, or not with this content, is sent there."""
        return await _answer(request, runtime, jobs, "backup", operator)

    @router.post("/admin/restore-files", summary="Restore the uploaded files")
    async def restore_files(
        request: Request, runtime: RuntimeDep, operator: DetachedOperator, *, overwrite: Overwrite = False
    ) -> Response:
        """Everything in the Object Storage that is not here, or not with this content, is fetched.

        It goes into the upload folder or, where uploads live in the Object Storage, into the cache in front of it.
        """
        return await _answer(request, runtime, jobs, "restore", operator, overwrite=overwrite)

    @router.get("/oppman/files", summary="Uploaded files, and the result of the last backup")
    async def state(request: Request, runtime: RuntimeDep, superuser: DetachedSuperUser) -> Response:
        """JSON, or the card's content for HTMX, which asks again each second while something runs."""
        context = await _state(runtime, jobs)
        if is_htmx(request):
            context["tasks"] = await _last_tasks(runtime)
            return render(request, "ops/_files.html", context, headers=NO_STORE)
        finished = {job: report | {"at": report["at"].isoformat()} for job, report in jobs.finished.items()}
        return JSONResponse(context | {"progress": jobs.progress.done, "finished": finished}, headers=NO_STORE)

    @router.post("/oppman/files/{job}", summary="Back up, restore or compare the uploaded files")
    async def run(
        request: Request,
        runtime: RuntimeDep,
        superuser: DetachedSuperUser,
        job: Literal["backup", "restore", "verify"],
        *,
        overwrite: Overwrite = False,
    ) -> Response:
        """The same for the page; `verify` compares both sides and changes nothing.

        Where uploads live in the Object Storage, this side is the cache: what is not cached is no difference.
        """
        return await _answer(request, runtime, jobs, job, superuser, overwrite=overwrite)

    return router


async def _answer(
    request: Request, runtime: Runtime, jobs: FileJobs, job: Job, actor: User | None, *, overwrite: bool = False
) -> Response:
    try:
        report = await jobs.run(job, runtime, overwrite=overwrite)
    except FastOppError as error:
        if is_htmx(request) or prefers_html(request):
            raise
        answer = {"status": "error", "message": str(error), "files_count": 0}
        return JSONResponse(answer, error.status, NO_STORE | dict(error.headers))
    await _record(runtime, request, actor, job, report)
    different = job == "verify" and report["status"] == "error"
    success = report["status"] != "error"
    status_code = 200 if success or different else FAILED
    if is_htmx(request) or prefers_html(request):
        return outcome(
            request,
            report["message"],
            success=success,
            status_code=status_code,
            context={"output": as_text(report)},
            refresh=CHANGED,
        )
    return JSONResponse(report, status_code, NO_STORE)


async def _state(runtime: Runtime, jobs: FileJobs) -> dict[str, Any]:
    files, size = (None, None) if jobs.running else await run_to_end(count_files, runtime.settings.upload_dir)
    cached, cached_size = None, None
    if (cache := runtime.storage.cache) and not jobs.running:
        cached, cached_size = await run_to_end(count_copies, cache.folder)
    return {
        "running": jobs.running,
        "progress": jobs.progress,
        "files": files,
        "bytes": size,
        "cached_files": cached,
        "cached_bytes": cached_size,
        "finished": jobs.finished,
        "bucket": runtime.settings.s3_bucket,
    }


async def _last_tasks(runtime: Runtime) -> list[TaskStatus]:
    """The last task of each kind; none while the tables of tasks are still to be made."""
    try:
        found = [await runtime.tasks.list(name=name, limit=1) for name in (BACKUP_TASK, RESTORE_TASK)]
    except TablesMissing:
        return []
    return list(chain.from_iterable(found))


async def _record(runtime: Runtime, request: Request, actor: User | None, job: Job, report: dict[str, Any]) -> None:
    """Write down who changed files; the holder of OPS_TOKEN has no account to write down."""
    if actor is None or not report.get("copied"):
        return
    changes = {name: report[name] for name in ("copied", "failed_count", "bytes")}
    async with runtime.database.transaction() as session:
        await audit.record(session, actor, job, "files", report["bucket"], changes, request)
