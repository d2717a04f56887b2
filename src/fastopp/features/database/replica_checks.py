"""A check of the replica in DATABASE_READ_URL."""

from __future__ import annotations

from collections.abc import AsyncIterator

from sqlalchemy import text

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.database.engine import in_autocommit
from fastopp.database.replica import Replica, position_of_lsn
from fastopp.database.session import Database
from fastopp.errors import FastOppError

FAR_BEHIND = 64 * 1024 * 1024  # bytes of the write-ahead log: four of its files

_STATE = text(
    "SELECT pg_is_in_recovery(), CAST(COALESCE(pg_last_wal_replay_lsn(), '0/0') AS text),"
    " (SELECT system_identifier FROM pg_control_system())"
)
_OF_PRIMARY = text("SELECT system_identifier FROM pg_control_system()")


@check(
    "fastopp.W114",
    "The replica of the database is not used",
    fix="Set DATABASE_READ_URL to one streaming replica of DATABASE_URL, or remove it.",
    subject=Subject.DATABASE,
    mode=Mode.LIVE,
)
async def unused_replica(context: CheckContext) -> AsyncIterator[Problem]:
    """Pages read the primary instead, which is correct and slower. A replica of another database would show other
    rows, and its positions would mean nothing."""
    settings = context.database_settings
    replica = Replica.from_settings(settings)
    if replica is None:
        return
    database = Database.from_settings(settings)
    try:
        async with in_autocommit(replica.engine).connect() as connection:
            follows, replayed, system = (await connection.execute(_STATE)).one()
        async with database.autocommit() as connection:
            own = (await connection.execute(_OF_PRIMARY)).scalar_one()
        behind = await database.position() - position_of_lsn(str(replayed))
        if system != own:
            yield Problem("DATABASE_READ_URL is a server of another database cluster than DATABASE_URL.")
        elif not follows:
            yield Problem("DATABASE_READ_URL is no replica: it does not replay a write-ahead log.")
        elif behind > FAR_BEHIND:
            yield Problem(f"The replica is {behind / 1e6:,.0f} MB of the write-ahead log behind.")
    except FastOppError as error:
        yield Problem(error.message, error.hint)
    finally:
        await database.dispose()
        await replica.dispose()
