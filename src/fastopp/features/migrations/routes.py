"""Migrations on the Oppman page: what is applied, what is pending, the SQL, and running them in this process."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.responses import JSONResponse

from fastopp.core.dependencies import RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.database.migrations import migrate
from fastopp.database.migrations.errors import UnknownRevision, VersionsNotWritable
from fastopp.errors import BadRequest, Conflict, FastOppError, NotFound, Unauthorized
from fastopp.features.accounts import audit
from fastopp.features.accounts.detached import DetachedSuperUser
from fastopp.features.accounts.models import User
from fastopp.web.answers import NO_STORE, OperationRoute, is_htmx, outcome
from fastopp.web.api_docs import problems
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

CHANGED = "migrations-changed"  # the event on which the page loads its list again
TIMEOUT = migrate.REQUEST_TIMEOUT  # seconds; a browser waits no longer
MAX_MESSAGE = 100  # characters; it becomes part of a file name

Command = Literal[
    "upgrade", "current", "history", "showmigrations", "check", "show", "sqlmigrate", "create", "downgrade", "stamp"
]
RISKY = ("downgrade", "stamp")  # they take columns and rows away, or make the database lie about itself
CHANGING = ("upgrade", "create", *RISKY)

router = APIRouter(
    prefix="/oppman",
    tags=["oppman"],
    route_class=OperationRoute,
    responses=problems(400, 401, 403, 404, 409, 422, 503),
)


class NotConfirmed(BadRequest):
    """Nothing was done."""

    hint = "Repeat the revision in the form field `confirm`."


@router.get("/migrations", summary="Applied and pending migrations")
async def list_migrations(request: Request, runtime: RuntimeDep, superuser: DetachedSuperUser) -> Response:
    """JSON, or the page's list for HTMX."""
    states = await migrate.show_migrations(runtime.database)
    if is_htmx(request):
        return render(request, "ops/_migrations.html", {"migrations": states})
    migrations = [{"revision": s.revision, "title": s.title, "applied": s.applied} for s in states]
    return JSONResponse({"migrations": migrations}, headers=NO_STORE)


@router.get("/migrations/{revision}/sql", summary="The SQL of a migration")
async def preview(
    request: Request, runtime: RuntimeDep, superuser: DetachedSuperUser, revision: Annotated[str, Path(max_length=40)]
) -> Response:
    """Return the SQL for this kind of database, without running it."""
    try:
        sql = await migrate.sqlmigrate(runtime.database, revision)
    except UnknownRevision as error:
        raise NotFound(error.message) from None
    return outcome(request, f"The SQL of {revision}:", context={"output": sql}, keys={"revision": revision, "sql": sql})


@router.post("/migrate", summary="Run a migration command")
async def run_migration(
    request: Request,
    runtime: RuntimeDep,
    superuser: DetachedSuperUser,
    command: Annotated[Command, Form()],
    message: Annotated[CleanText, Form(max_length=MAX_MESSAGE)] = "",
    revision: Annotated[CleanText, Form(max_length=40)] = "",
    confirm: Annotated[CleanText, Form(max_length=40)] = "",
    *,
    allow_drop: Annotated[
        bool, Form(description="Allow a migration that deletes data; with `create`, write the drops.")
    ] = False,
) -> Response:
    """The commands of `oppman.py migrate`; their report is in `stdout`, the reason of a failure in `stderr`."""
    try:
        if command in RISKY and (not revision or confirm != revision):
            raise NotConfirmed
        report = await _run(runtime, command, message.strip(), revision.strip(), allow_drop=allow_drop)
    except Unauthorized:
        raise
    except FastOppError as error:
        keys = {"stdout": "", "stderr": str(error), "command": command, **error.extensions}
        return outcome(request, str(error), success=False, status_code=_status(error), headers=error.headers, keys=keys)
    if command in CHANGING:
        await _record(runtime, request, superuser, command, revision or report.splitlines()[0])
    return outcome(
        request,
        report.splitlines()[0],
        context={"output": report if "\n" in report else ""},
        refresh=CHANGED if command in CHANGING else "",
        keys={"stdout": report, "stderr": "", "command": command},
    )


async def _run(runtime: Runtime, command: Command, message: str, revision: str, *, allow_drop: bool) -> str:
    """The report of a command: its first line says it all. Raises FastOppError."""
    database = runtime.database
    match command:
        case "upgrade":
            done = await migrate.upgrade(database, revision or "head", timeout=TIMEOUT, allow_drop=allow_drop)
            steps = [f"  {step.revision}  {step.title}" for step in done.applied]
            return "\n".join([f"The database is at {done.current}; {len(steps)} migration(s) were applied.", *steps])
        case "downgrade":
            done = await migrate.downgrade(database, revision, allow_drop=allow_drop)
            return f"The database is at {done.current or 'no migration'}; {len(done.applied)} were taken back."
        case "stamp":
            return f"The database now says that it is at {await migrate.stamp(database, revision)}."
        case "current":
            return f"The database is at {await migrate.current(database) or 'no migration'}."
        case "history":
            lines = [f"  {each.id}  {each.title}" for each in await migrate.history()]
            return "\n".join([f"This project has {len(lines)} migration(s).", *lines])
        case "showmigrations":
            states = await migrate.show_migrations(database)
            lines = [f"  [{'x' if state.applied else ' '}] {state.revision}  {state.title}" for state in states]
            return "\n".join([f"{sum(state.applied for state in states)} of {len(states)} are applied.", *lines])
        case "show":
            found = await migrate.show(revision or "head")
            return f"{found.id}  {found.title}"
        case "sqlmigrate":
            return await migrate.sqlmigrate(database, revision or "head")
        case "create":
            made = await migrate.make_migration(database, _slug(message), allow_drop=allow_drop)
            first = f"The migration {made.path.name} was written." if made.path else "The models have no changes."
            return "\n".join([first, *(f"  drops: {each}" for each in made.dropped), *_kept(made.kept)])
        case "check":
            result = await migrate.check(database)
            if result.ok:
                return "\n".join(["The database, the migrations and the models agree.", *_kept(result.kept)])
            lacking = [f"  pending: {each.id}  {each.title}" for each in result.pending]
            raise Conflict("\n".join(["Some migrations or changes are pending.", *lacking, *result.differences]))


def _kept(kept: Sequence[str]) -> list[str]:
    return [f"  kept: not in your models: {each}" for each in kept]


def _slug(message: str) -> str:
    """Return a description as words that a file name and a docstring can hold."""
    words = " ".join(re.findall(r"[\w,.-]+", message))
    if not words:
        raise BadRequest("Describe the migration in a few words.", hint="Fill in the field `message`.")
    return words


def _status(error: FastOppError) -> int:
    if isinstance(error, UnknownRevision):
        return NotFound.status
    return Conflict.status if isinstance(error, VersionsNotWritable) else error.status


async def _record(runtime: Runtime, request: Request, actor: User, command: str, what: str) -> None:
    async with runtime.database.transaction() as session:
        await audit.record(session, actor, f"migrate {command}", "alembic_version", what, request=request)
