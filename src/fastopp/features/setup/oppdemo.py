"""/oppdemo/: sample data, step by step or all at once."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep, SettingsDep
from fastopp.core.runtime import Runtime
from fastopp.database.tables import count_rows
from fastopp.errors import FastOppError
from fastopp.features.accounts import audit
from fastopp.features.accounts import service as accounts
from fastopp.features.accounts.current_user import SuperUser
from fastopp.features.accounts.detached import DetachedOperator
from fastopp.features.accounts.management import summarise
from fastopp.features.accounts.models import User
from fastopp.features.jobs.page import pages_work
from fastopp.features.setup.seeding import InitStep, StepOutcome, UnknownStep, init_steps, run_full_init, run_step
from fastopp.storage import deadlines
from fastopp.storage.base import Storage
from fastopp.web.answers import NO_STORE, OperationRoute, outcome
from fastopp.web.api_docs import problems
from fastopp.web.templating import render

CHANGED = "demo-changed"  # the event on which the page loads its counts again

# FastOpp 0.4.8's addresses of steps that have other names now.
ALIASES = {"download-photos": "photos", "download_photos": "photos"}

router = APIRouter(
    prefix="/oppdemo",
    tags=["oppdemo"],
    route_class=OperationRoute,
    responses=problems(400, 401, 403, 404, 409, 422, 503),
)


@router.get("/", include_in_schema=False)
async def dashboard(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, superuser: SuperUser
) -> Response:
    """The page."""
    context = {
        "steps": init_steps(runtime),
        "counts": await count_rows(session),
        "pages_work": pages_work(runtime),
        "again": False,
    }
    return render(request, "ops/oppdemo.html", context, headers=NO_STORE)


@router.get("/counts", include_in_schema=False)
async def counts(request: Request, session: PrimarySessionDep, superuser: SuperUser) -> Response:
    """The page's row counts, as a fragment."""
    return render(request, "ops/_counts.html", {"counts": await count_rows(session)})


@router.get("/check-users", summary="Report on the accounts")
@router.get("/test-auth", summary="Report on who may sign in")
async def check_users(
    request: Request, session: PrimarySessionDep, settings: SettingsDep, superuser: SuperUser
) -> Response:
    """As text in `stdout`."""
    command = "test_auth" if request.url.path.endswith("test-auth") else "check_users"
    report = summarise(await accounts.list_for_page(session), command, settings)
    return outcome(request, report.splitlines()[0], context={"output": report}, keys={"stdout": report})


@router.post("/init", summary="Run every step")
async def init(request: Request, runtime: RuntimeDep, operator: DetachedOperator) -> Response:
    """All of it in this request. The page with JavaScript starts the task `init-demo` instead, and follows it."""
    report = await run_full_init(runtime)
    await _record(runtime, request, operator, "init", report.results)
    results = [done.as_json() for done in report.results]
    lines = "\n".join(f"{done.status:8} {done.step}: {done.message}" for done in report.results)
    keys: dict[str, Any] = {"results": results}
    if report.generated_password:
        keys["generated_password"] = report.generated_password
    return outcome(
        request,
        report.message,
        success=report.success,
        status_code=200 if report.success else 500,
        context={"output": lines, "secret": report.generated_password or ""},
        keys=keys,
    )


@router.post("/debug-storage", summary="Write, read and delete a file")
async def debug_storage(request: Request, runtime: RuntimeDep, operator: DetachedOperator) -> Response:
    """The storage's self-test; keys are only said to be set or not."""
    info = await examine_storage(runtime)
    success = "error" not in info["test_operations"]
    message = "The storage works." if success else f"The storage does not work: {info['test_operations']['error']}"
    lines = "\n".join(
        f"{name:8} {'works' if result['success'] else 'fails'}"
        for name, result in info["test_operations"].items()
        if name != "error"
    )
    return outcome(
        request,
        message,
        success=success,
        status_code=200 if success else 503,
        context={"output": lines},
        keys={"debug_info": info},
    )


@router.post("/{name}", summary="Run one step")
async def step(
    *,
    request: Request,
    runtime: RuntimeDep,
    operator: DetachedOperator,
    name: Annotated[str, Path(max_length=50)],
) -> Response:
    """`db`, `superuser`, `users`, or a step of an app, like `products`."""
    steps = init_steps(runtime)
    wanted = _find(steps, name)
    done = await run_step(runtime, wanted.name)
    await _record(runtime, request, operator, wanted.name, [done])
    keys: dict[str, Any] = {"status": done.status}
    if done.generated_password:
        keys["generated_password"] = done.generated_password
    return outcome(
        request,
        done.message,
        success=done.status != "error",
        status_code=500 if done.status == "error" else 200,
        context={"secret": done.generated_password or ""},
        refresh=CHANGED,
        keys=keys,
    )


async def examine_storage(runtime: Runtime) -> dict[str, Any]:
    """Try every operation on a test file, and return the results; raises no storage error."""
    settings, storage = runtime.settings, runtime.storage
    given = {
        "S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        "S3_BUCKET": settings.s3_bucket,
        "S3_CDN_URL": settings.s3_cdn_url,
    }
    environment = {name: "SET" if value else "NOT SET" for name, value in given.items()}
    return {
        "environment": {"STORAGE_TYPE": settings.storage_type, **environment},
        "storage_type": type(storage).__name__,
        "sample_photos": await _sample_photos(storage),
        "test_operations": await _try_storage(storage),
    }


async def _try_storage(storage: Storage) -> dict[str, Any]:
    key, content = f"health/{secrets.token_hex(16)}.txt", b"FastOpp tries its storage."
    tried: dict[str, Any] = {}

    async def save() -> dict[str, Any]:
        await storage.put(key, content, content_type="text/plain")
        return {"success": True, "url": storage.url(key)}

    async def exists() -> dict[str, Any]:
        return {"success": True, "exists": (await storage.head(key)).size == len(content)}

    async def read() -> dict[str, Any]:
        found = await storage.get(key)
        return {"success": found == content, "size": len(found)}

    async def cleanup() -> dict[str, Any]:
        await storage.delete(key)
        return {"success": True}

    operations: dict[str, Callable[[], Awaitable[dict[str, Any]]]] = {
        "save": save, "exists": exists, "read": read, "cleanup": cleanup,
    }  # fmt: skip
    for name, operation in operations.items():
        try:
            async with deadlines.within(deadlines.REMOVAL):
                tried[name] = await operation()
        except FastOppError as error:
            tried[name] = {"success": False}
            tried["error"] = error.message
    return tried


async def _sample_photos(storage: Storage) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        async with deadlines.within(deadlines.REMOVAL):
            async for file in storage.list("sample_photos/"):
                found[file.key] = {"exists": True, "error": None, "size": file.size}
    except FastOppError as error:
        found["sample_photos/"] = {"exists": False, "error": error.message}
    return found


async def _record(
    runtime: Runtime, request: Request, actor: User | None, what: str, outcomes: list[StepOutcome]
) -> None:
    """Write down who seeded, if anything came of it; the holder of OPS_TOKEN has no account to write down."""
    changes = {done.name: done.message for done in outcomes if done.status == "success"}
    if actor is None or not changes:
        return
    async with runtime.database.transaction() as session:
        await audit.record(session, actor, "seed", "oppdemo", what, changes, request)


def _find(steps: list[InitStep], name: str) -> InitStep:
    spellings = {name, name.replace("-", "_"), name.replace("_", "-"), ALIASES.get(name, name)}
    found = next((step for step in steps if step.name in spellings), None)
    if found is None:
        raise UnknownStep(f"There is no step {name!r}.", hint=f"This project has: {', '.join(s.name for s in steps)}.")
    return found
