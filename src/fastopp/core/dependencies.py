"""The dependencies of handlers, for `Depends`. The only module that reads `app.state`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.cache.cache import Cache
from fastopp.cache.current import CACHED_MARK, current_cache
from fastopp.clock import Clock
from fastopp.core.runtime import Runtime
from fastopp.database.replica import parse_position
from fastopp.database.session import Database
from fastopp.reporting import ErrorReports
from fastopp.settings import Settings
from fastopp.storage.base import Storage
from fastopp.tasks.service import TaskService

POSITION_COOKIE = "position"
POSITION_HEADER = "X-Database-Position"
READ_ONLY_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def get_runtime(request: Request) -> Runtime:
    """Return the runtime, with the resources of this process."""
    runtime: Runtime = request.app.state.runtime
    return runtime


def find_runtime(scope: Mapping[str, Any]) -> Runtime | None:
    """Return the runtime of an ASGI connection's application; None for one without."""
    return getattr(getattr(scope.get("app"), "state", None), "runtime", None)


def error_reports(scope: Mapping[str, Any]) -> ErrorReports | None:
    """Return what records the errors of a request; None where the application has no runtime."""
    runtime = find_runtime(scope)
    return runtime.errors if runtime is not None else None


# What FastAPI calls below is asynchronous though it waits for nothing: a plain function would be sent to a
# worker thread, which costs each request as much as its routing. Each takes the request rather than `RuntimeDep`, since
# FastAPI solves a dependency's dependencies separately.


async def _runtime(request: Request) -> Runtime:
    return get_runtime(request)


RuntimeDep = Annotated[Runtime, Depends(_runtime)]


async def get_settings(request: Request) -> Settings:
    """The settings of this process."""
    return get_runtime(request).settings


async def get_storage(request: Request) -> Storage:
    """The storage of uploaded files."""
    return get_runtime(request).storage


async def get_database(request: Request) -> Database:
    """The database, for a handler that needs a separate transaction."""
    return get_runtime(request).database


async def get_clock(request: Request) -> Clock:
    """The clock of this process."""
    return get_runtime(request).clock


async def get_cache(request: Request) -> Cache:
    """The cache that all instances share."""
    return get_runtime(request).shared_cache


async def get_primary_session(request: Request) -> AsyncIterator[AsyncSession]:
    """A session for this request as `get_session` gives it, and never at a replica."""
    database = get_runtime(request).database
    async with database.read() if request.method in READ_ONLY_METHODS else database.transaction() as session:
        yield session


PrimarySessionDep = Annotated[AsyncSession, Depends(get_primary_session, scope="function")]


async def get_session(request: Request, runtime: RuntimeDep, primary: PrimarySessionDep) -> AsyncIterator[AsyncSession]:
    """A session for this request: a GET reads in autocommit, anything else is one transaction.

    The transaction is committed before the answer is sent, so an answer never promises what was not
    kept; raising any exception rolls it back. With DATABASE_READ_URL a GET reads the replica, if that has reached what
    the client has written before. What is computed from it is not put into the cache, where it might be older than
    what others have seen; so a cached page reads the primary.
    """
    if runtime.database.replica is None or request.method not in READ_ONLY_METHODS or is_cached(request):
        yield primary
        return
    async with runtime.database.read_near(position_of(request)) as near:
        if near is not None and (current := current_cache.get()) is not None:
            current_cache.set(current._replace(keeps=False))
        yield primary if near is None else near


def position_of(request: Request) -> int:
    """Return the position of the client's last write: of its header, or else of its cookie."""
    cookies = (request.cookies.get(name) for name in (f"__Host-{POSITION_COOKIE}", POSITION_COOKIE))
    given = request.headers.get(POSITION_HEADER) or next(filter(None, cookies), "")
    return parse_position(given)


def is_cached(request: Request) -> bool:
    """Return whether the handler is one with `@cached`."""
    return hasattr(request.scope.get("endpoint"), CACHED_MARK)


SettingsDep = Annotated[Settings, Depends(get_settings)]
StorageDep = Annotated[Storage, Depends(get_storage)]
ClockDep = Annotated[Clock, Depends(get_clock)]
DatabaseDep = Annotated[Database, Depends(get_database)]
CacheDep = Annotated[Cache, Depends(get_cache)]
SessionDep = Annotated[AsyncSession, Depends(get_session, scope="function")]  # ends before the answer is sent


async def get_tasks(request: Request, session: PrimarySessionDep) -> TaskService:
    """The task service; tasks are queued only if this request's transaction is committed."""
    tasks = get_runtime(request).tasks
    return tasks if request.method in READ_ONLY_METHODS else tasks.within(session)


TasksDep = Annotated[TaskService, Depends(get_tasks)]
