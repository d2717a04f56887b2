"""Whether what this process depends on works: the database, its migrations, the storage.

The answers say what is wrong in our words. What a driver said goes to the log, since it may carry
addresses and names.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Iterable
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from fastapi.encoders import jsonable_encoder
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.apps import App, Probe
from fastopp.core.release_id import release_id
from fastopp.core.runtime import Runtime
from fastopp.database.errors import outage_reason
from fastopp.database.migrations.errors import MigrationError
from fastopp.database.migrations.revisions import current_revision, head_revision
from fastopp.errors import FastOppError, Unavailable
from fastopp.storage.base import StorageFull
from fastopp.storage.disk import FULL, write_probe

log = logging.getLogger(__name__)

TIME_LIMIT = 3.0  # seconds for one check; a load balancer's own patience is 5 s or more
SLOW = 1.0  # seconds; a check that takes longer is named as slow
SHARED_FOR = 1.0  # seconds that an answer is good for everyone who asks


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
        ours = {"status": "healthy" if self.healthy else "unhealthy", "latency_ms": self.latency_ms}
        answer = ours | self.details | ours  # a detail does not replace either
        return answer if self.healthy else answer | {"error": self.problem}


class HealthReport(NamedTuple):
    """All checks of one moment."""

    platform: str
    checks: dict[str, Check]
    release: str = ""

    @property
    def healthy(self) -> bool:
        """Whether every check passed."""
        return all(check.healthy for check in self.checks.values())

    def as_json(self) -> dict[str, Any]:
        """The answer of /health."""
        return {
            "status": "healthy" if self.healthy else "unhealthy",
            "platform": self.platform,
            "release": self.release,
            "slow": [name for name, check in self.checks.items() if check.latency_ms >= SLOW * 1000],
            "checks": {name: check.as_json() for name, check in self.checks.items()},
        }


class HealthMonitor:
    """Run the checks at most once a second for all clients: a stampede costs the database one query."""

    def __init__(self) -> None:
        self._running: asyncio.Task[HealthReport] | None = None
        self._finished = 0.0
        self._head: str | None = None
        self._release: str | None = None

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
        if self._release is None:
            self._release = await asyncio.to_thread(release_id, runtime.settings, Path.cwd())
        report = (await run_checks(runtime, self._head))._replace(release=self._release)
        self._finished = runtime.clock.monotonic()
        return report


async def run_checks(runtime: Runtime, head: str | None) -> HealthReport:
    """Run every check now, the framework's and the apps', those that do not wait for each other side by side.

    `head` is the revision that the database should be at; None when the project's migrations cannot be read.
    """
    own = await asyncio.to_thread(_probes_of, runtime.apps)
    tables, storage, *others = await asyncio.gather(
        _check_tables(runtime, head),
        _timed("storage", _check_storage(runtime)),
        *(_timed(name, _run_probe(probe, runtime)) for name, probe in own.items()),
    )
    return HealthReport(
        runtime.settings.platform.name, {**tables, "storage": storage, **dict(zip(own, others, strict=True))}
    )


def _probes_of(apps: Iterable[App]) -> dict[str, Probe]:
    """Return the probes of all apps; for an app whose probes.py cannot be imported, one that says so."""
    found: dict[str, Probe] = {}
    for app in apps:
        try:
            found |= app.probes()
        except Exception:
            log.exception("%s/probes.py cannot be used", app.package, extra={"action": "probe_failed"})
            found[f"{app.name}.probes"] = _unusable
    return found


async def _unusable(_runtime: Runtime) -> None:
    raise ProbeFailed("probes.py cannot be used; the log says why.")


async def _run_probe(probe: Probe, runtime: Runtime) -> dict[str, Any]:
    """Run the probe of an app. Any exception becomes its outcome."""
    try:
        return dict(jsonable_encoder(await probe(runtime) or {}))
    except (FastOppError, SQLAlchemyError, OSError, TimeoutError):
        raise
    except Exception as error:
        log.exception("A probe failed", extra={"action": "probe_failed"})
        raise ProbeFailed("It failed; the log says why.") from error


async def _check_tables(runtime: Runtime, head: str | None) -> dict[str, Check]:
    # One after the other, so that a health check takes one connection of a small pool, not two.
    database = await _timed("database", _check_database(runtime))
    if database.healthy:
        migrations = await _timed("migrations", _check_migrations(runtime, head))
    else:
        migrations = Check("Unknown, since the database does not answer.", 0.0, {"current": None, "head": head})
    return {"database": database, "migrations": migrations}


class ProbeFailed(FastOppError):
    """A part of the application does not work. The message is shown to everyone."""

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}


async def _timed(name: str, check: Awaitable[dict[str, Any]]) -> Check:
    """Run one check within its time limit; an exception becomes its outcome."""
    problem: str | None = None
    details: dict[str, Any] = {}
    began = perf_counter()
    try:
        async with asyncio.timeout(TIME_LIMIT):
            details = await check
    except TimeoutError:
        problem = f"No answer within {TIME_LIMIT:g} seconds."
    except ProbeFailed as error:
        problem, details = error.message, error.details
    except (FastOppError, SQLAlchemyError, OSError) as error:
        # Our own errors say what is wrong in a sentence; only of others is it worth knowing where they come from.
        trace = None if isinstance(error, FastOppError) else error
        log.warning("Health check failed: %s", error, extra={"action": "health_failed", "check": name}, exc_info=trace)
        # Only outages are described to everyone: a mistake in the settings may name a bucket or an account.
        problem = error.message if isinstance(error, Unavailable | StorageFull) else "It does not answer."
    return Check(problem, round((perf_counter() - began) * 1000, 1), details)


_IS_WRITABLE = text("SELECT 1 WHERE NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'")


async def _check_database(runtime: Runtime) -> dict[str, Any]:
    url = runtime.database.url
    async with runtime.database.read() as session:
        if url.backend == "postgresql":
            if not (await (await session.connection()).execute(_IS_WRITABLE)).scalar():
                raise ProbeFailed("It is read-only.")
            return {}
        await ping(session)
    await asyncio.to_thread(check_sqlite_writable, Path(url.database or ""))
    return {}


def check_sqlite_writable(path: Path) -> None:
    """Check that SQLite can begin to write, and that its disk has room. Raise ProbeFailed. Blocks."""
    import sqlite3  # noqa: PLC0415 - 1 MiB that PostgreSQL does not need

    try:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:  # another one writes at this moment
            raise ProbeFailed(outage_reason(error) or "It cannot be written.") from error
    try:
        write_probe(path.absolute().parent)
    except OSError as error:
        raise ProbeFailed("Its disk is full." if error.errno in FULL else "Its folder cannot be written.") from error


async def ping(session: AsyncSession) -> None:
    """One query that reads no table. Raises DatabaseUnavailable."""
    await (await session.connection()).execute(text("SELECT 1"))


async def _check_migrations(runtime: Runtime, head: str | None) -> dict[str, Any]:
    async with runtime.database.read() as session:
        details = {"current": await current_revision(session), "head": head}
    if head is None:
        raise ProbeFailed("The project's migrations cannot be read.", details)
    if details["current"] != head:
        raise ProbeFailed("Migrations are pending.", details)
    return details


async def _check_storage(runtime: Runtime) -> dict[str, Any]:
    await runtime.storage.check()
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
