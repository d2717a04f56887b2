"""Sessions as the code of FastOpp 0.4.8 opens them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

from fastapi import Request
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.dependencies import READ_ONLY_METHODS, SessionDep, get_runtime
from fastopp.database.errors import DatabaseUnavailable
from fastopp.database.session import Database
from fastopp.features.accounts.current_user import load_user
from fastopp.settings import load_settings

# The database of the request, and whether the request only reads.
_bound: ContextVar[tuple[Database, bool] | None] = ContextVar("adopted_database", default=None)


async def bind(request: Request) -> None:
    """Dependency of an adopted router: its code finds this request's database and user without asking for them."""
    runtime = get_runtime(request)
    _bound.set((runtime.database, request.method in READ_ONLY_METHODS))
    with suppress(DatabaseUnavailable):
        async with runtime.database.read() as session:
            request.state.user = await load_user(request, session, runtime.settings, clock=runtime.clock)


async def get_db_session(session: SessionDep) -> AsyncSession:
    """Dependency: the session of this request."""
    return session


@asynccontextmanager
async def AsyncSessionLocal() -> AsyncIterator[AsyncSession]:  # noqa: N802 - its name in FastOpp 0.4.8
    """Open a session on the database of the request; outside of one, on that of the settings."""
    bound = _bound.get()
    if bound is None:
        database = Database.from_settings(load_settings())
        try:
            async with database.transaction() as session:
                yield session
        finally:
            await database.dispose()
        return
    database, reading = bound
    async with database.read() if reading else database.transaction() as session:
        yield session
