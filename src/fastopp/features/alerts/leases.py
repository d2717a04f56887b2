"""Leases: work that one instance of the site does at a time, and not too often.

Written with plain SQL, so that an instance that does not get one imports no tables.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text

from fastopp.database.framework_tables import ALERT_LEASES
from fastopp.database.session import Database

EVALUATION: Final = "evaluation"
HEARTBEAT: Final = "heartbeat"

_TAKE: Final = (
    f"INSERT INTO {ALERT_LEASES} AS kept (name, at) VALUES (:name, :now) "  # noqa: S608 - our own name
    "ON CONFLICT (name) DO UPDATE SET at = excluded.at WHERE kept.at <= :due OR kept.at > :wrong RETURNING name"
)
_WRONG: Final = 3600.0  # seconds: a time so far ahead is of an instance whose clock was wrong


async def take(database: Database, name: str, now: float, seconds: float) -> bool:
    """Return whether the caller has the work for this time: `seconds` have passed since it was last begun.

    Raises DatabaseUnavailable, TablesMissing.

    Parameters
    ----------
    now: seconds since 1970.
    """
    given = {"name": name, "now": now, "due": now - seconds, "wrong": now + _WRONG}
    async with database.autocommit() as connection:
        return (await connection.execute(text(_TAKE), given)).first() is not None
