"""Direct uploads that are announced and not complete, as evidence in the database.

Each has two records. That of its final key bears the account and the size, and is removed when the upload is complete.
That of its staged file stays until nothing can arrive under that name any more, and is then swept.

The functions work on a connection; see `fastopp.storage.evidence`.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, func, or_
from sqlalchemy import delete as delete_from
from sqlmodel import col, select, update

from fastopp.errors import Conflict, FastOppError
from fastopp.storage.evidence import COMPLETING, PENDING, FileEvidence, insert
from fastopp.storage.keys import STAGING

COMPLETE_WITHIN = timedelta(days=1)  # of the announcement: 5 GiB take half of it at 1 Mbit/s
ABANDONED_AFTER = timedelta(days=2)  # so that no upload in progress is removed, even if clocks differ
LEASE = timedelta(minutes=15)  # that one request completes an upload alone; longer than the signature of its copy holds


class TooManyAnnounced(FastOppError):
    """This account has announced too many uploads that are not complete."""

    status = 429
    hint = "Complete them first, or ask for a higher DIRECT_UPLOADS_MAX or DIRECT_UPLOADS_MAX_MB."


class BeingCompleted(Conflict):
    """This upload is being completed by another request."""

    headers = {"Retry-After": "60"}  # noqa: RUF012 - as FastOppError has it
    hint = "Wait for its answer, or try again in 15 minutes if it has none."


class Limits(NamedTuple):
    """The limits of announced uploads for one account."""

    uploads: int
    size: int
    """Bytes."""


def staged(key: str) -> str:
    """The name under which a file waits until it has been checked."""
    return f"{STAGING}{key}"


def announce(connection: Connection, key: str, now: datetime, *, account: uuid.UUID, size: int, limits: Limits) -> None:
    """Record an upload, in a transaction, for whose end other announcements of the account wait.

    Raises TooManyAnnounced.
    """
    if connection.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
        connection.execute(select(func.pg_advisory_xact_lock(account.int % 2**63)))
    counted = select(FileEvidence.size).where(col(FileEvidence.account) == account, col(FileEvidence.due) > now)
    sizes = [other or 0 for other in connection.execute(counted).scalars()]
    if len(sizes) >= limits.uploads or sum(sizes) + size > limits.size:
        raise TooManyAnnounced(f"{TooManyAnnounced.__doc__} They are {len(sizes)}, of {sum(sizes):,} bytes.")
    due = now + ABANDONED_AFTER
    upload = {"key": key, "state": PENDING, "due": due, "account": account, "size": size}
    place = {"key": staged(key), "state": PENDING, "due": due, "account": None, "size": None}
    connection.execute(insert(connection).values([upload, place]))


def begin(connection: Connection, key: str, now: datetime) -> datetime | None:
    """Begin to complete an upload: the end of this request's lease. None when there is no such upload any more.

    Raises BeingCompleted.
    """
    lease = now + LEASE
    ours = col(FileEvidence.key) == key
    free = or_(col(FileEvidence.state) == PENDING, col(FileEvidence.due) <= now)
    taken = update(FileEvidence).where(ours, col(FileEvidence.state).in_((PENDING, COMPLETING)), free)
    if connection.execute(taken.values(state=COMPLETING, due=lease)).rowcount:
        return lease
    if connection.scalar(select(FileEvidence.state).where(ours)) == COMPLETING:
        raise BeingCompleted
    return None


def release(connection: Connection, key: str, lease: datetime, due: datetime) -> None:
    """Let the upload be completed again, until it is swept at `due`."""
    connection.execute(update(FileEvidence).where(*_leased(key, lease)).values(state=PENDING, due=due))


def finish(connection: Connection, key: str, lease: datetime) -> None:
    """Make the upload complete. Raises BeingCompleted when the lease was lost."""
    if not connection.execute(delete_from(FileEvidence).where(*_leased(key, lease))).rowcount:
        raise BeingCompleted


def _leased(key: str, lease: datetime) -> tuple[ColumnElement[bool], ...]:
    return col(FileEvidence.key) == key, col(FileEvidence.state) == COMPLETING, col(FileEvidence.due) == lease
