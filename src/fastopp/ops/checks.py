"""Whether what this process depends on works: the database, its migrations, the storage.

The answers say what is wrong in our words. What a driver said goes to the log, since it may carry
addresses and names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from time import perf_counter
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.migrations.errors import MigrationError
from fastopp.database.migrations.revisions import current_revision, head_revision
from fastopp.errors import FastOppError
from fastopp.runtime import Runtime
from fastopp.storage.base import FileMissing

log = logging.getLogger(__name__)

TIME_LIMIT = 3.0  # seconds for one check; a load balancer's own patience is 5 s or more
SHARED_FOR = 1.0  # seconds that an answer is good for everyone who asks

PROBE_KEY = "health/probe.txt"  # a file that is not there, which a working storage says


class Check(NamedTuple):
    """The outcome of one check. `problem` is None when all is well."""

    problem: str | None
    latency_ms: float
    details: dict[str, Any]

    @property
    def healthy(self) -> bool:
        """Whether it passed."""
        return self.problem is None

    def as_json(self) -> dict[str, Any]:
        """Its part of the answer of /health."""
        answer = {"status": "healthy" if self.healthy else "unhealthy", "latency_ms": self.latency_ms, **self.details}
        return answer if self.healthy else answer | {"error": self.problem}


class HealthReport(NamedTuple):
    """All checks of one moment."""

    platform: str
    checks: dict[str, Check]

    @property
    def healthy(self) -> bool:
        """Whether every check passed."""
        return all(check.healthy for check in self.checks.values())

    def as_json(self) -> dict[str, Any]:
        """The answer of /health."""
        return {
            "status": "healthy" if self.healthy else "unhealthy",
            "platform": self.platform,
            "checks": {name: check.as_json() for name, check in self.checks.items()},
        }


class HealthMonitor:
    """Runs the checks at most once a second, whoever asks: a stampede costs the database one query."""

    def __init__(self) -> None:
        self._running: asyncio.Task[HealthReport] | None = None
        self._finished = 0.0
        self._head: str | None = None

    async def report(self, runtime: Runtime) -> HealthReport:
        """The checks' outcome, at most `SHARED_FOR` seconds old. Raises nothing, and lasts two time limits at most."""
        stale = runtime.clock.monotonic() - self._finished > SHARED_FOR
        if self._running is None or (self._running.done() and stale):
            self._running = asyncio.create_task(self._run(runtime))
        # Shielded, since the client that came first may go away while others wait.
        return await asyncio.shield(self._running)

    async def fresh(self, runtime: Runtime) -> HealthReport:
        """As `report`, but of this moment: for a page that has just changed something."""
        self._running = None
        return await self.report(runtime)

    async def _run(self, runtime: Runtime) -> HealthReport:
        if self._head is None:
            with contextlib.suppress(MigrationError, OSError):
                self._head = await asyncio.to_thread(head_revision)
        report = await run_checks(runtime, self._head)
        self._finished = runtime.clock.monotonic()
        return report


async def run_checks(runtime: Runtime, head: str | None) -> HealthReport:
    """Run every check now, those that do not wait for each other side by side.

    `head` is the revision that the database should be at; None when the project's migrations cannot be read.
    """
    tables, storage = await asyncio.gather(_check_tables(runtime, head), _timed("storage", _check_storage(runtime)))
    return HealthReport(runtime.settings.platform.name, {**tables, "storage": storage})


async def _check_tables(runtime: Runtime, head: str | None) -> dict[str, Check]:
    # One after the other, so that a health check takes one connection of a small pool, not two.
    database = await _timed("database", _check_database(runtime))
    if database.healthy:
        migrations = await _timed("migrations", _check_migrations(runtime, head))
    else:
        migrations = Check("Unknown, since the database does not answer.", 0.0, {"current": None, "head": head})
    return {"database": database, "migrations": migrations}


class CheckFailed(FastOppError):
    """This check failed."""

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


async def _timed(name: str, check: Awaitable[dict[str, Any]]) -> Check:
    """Run one check within its time limit; whatever it raises becomes its outcome."""
    problem: str | None = None
    details: dict[str, Any] = {}
    began = perf_counter()
    try:
        async with asyncio.timeout(TIME_LIMIT):
            details = await check
    except TimeoutError:
        problem = f"No answer within {TIME_LIMIT:g} seconds."
    except CheckFailed as error:
        problem, details = error.message, error.details
    except (FastOppError, SQLAlchemyError, OSError) as error:
        # Our own errors say what is wrong in a sentence; only of others is it worth knowing where they come from.
        trace = None if isinstance(error, FastOppError) else error
        log.warning("Health check failed: %s", error, extra={"action": "health_failed", "check": name}, exc_info=trace)
        problem = "It does not answer."
    return Check(problem, round((perf_counter() - began) * 1000, 1), details)


async def _check_database(runtime: Runtime) -> dict[str, Any]:
    async with runtime.database.read() as session:
        await ping(session)
    return {}


async def ping(session: AsyncSession) -> None:
    """One query that reads no table. Raises DatabaseUnavailable."""
    await (await session.connection()).execute(text("SELECT 1"))


async def _check_migrations(runtime: Runtime, head: str | None) -> dict[str, Any]:
    async with runtime.database.read() as session:
        details = {"current": await current_revision(session), "head": head}
    if head is None:
        raise CheckFailed("The project's migrations cannot be read.", details)
    if details["current"] != head:
        raise CheckFailed("Migrations are pending.", details)
    return details


async def _check_storage(runtime: Runtime) -> dict[str, Any]:
    with contextlib.suppress(FileMissing):
        await runtime.storage.head(PROBE_KEY)
    return {}


def pool_status(runtime: Runtime) -> dict[str, Any]:
    """The connections of this process; numbers are null where the pool does not count."""
    pool: Any = runtime.database.engine.pool
    counts = {name: getattr(pool, name, None) for name in ("size", "checkedin", "checkedout", "overflow")}
    size, checked_in, checked_out, overflow = (count() if callable(count) else None for count in counts.values())
    return {
        "size": size,
        "checked_in": checked_in,
        "checked_out": checked_out,
        "overflow": None if overflow is None else max(0, overflow),  # below zero: the pool is not yet full
        "pool_type": type(pool).__name__,
    }
