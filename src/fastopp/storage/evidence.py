"""Evidence that a file is garbage, in the database, written by the transaction that makes it true.

Only a file with evidence is ever deleted. An upload is recorded before its file is stored, and the transaction that
commits the upload removes the record: a record that is left belongs to an upload that never committed. A transaction
that replaces a file, clears its column or deletes its row records that. A file without a record is kept, whether a row
names it or not.

The functions work on a connection within its transaction. They are synchronous, so that a session's events can call
them; from asynchronous code use `AsyncConnection.run_sync`.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Connection, String
from sqlalchemy import delete as delete_from
from sqlmodel import Field, SQLModel, col, select, update

from fastopp.errors import Conflict
from fastopp.storage.keys import MAX_KEY_BYTES

if TYPE_CHECKING:
    from sqlalchemy.dialects.postgresql import Insert

PENDING = "pending"
"""An upload that has not committed yet."""
COMPLETING = "completing"
"""A direct upload that is being checked and copied; see `fastopp.storage.direct_uploads`."""
DISCARDED = "discarded"
"""A committed transaction gave the file up."""
DELETING = "deleting"
"""A sweep is deleting the file."""

ORPHAN_AGE = timedelta(hours=1)  # four times the longest request of any platform
LEASE = timedelta(hours=1)  # of a sweep on the files that it deletes, after which another sweep takes over


class UploadExpired(Conflict):
    """The upload took too long, so the file has been deleted."""

    hint = "Send the file again."


class FileBeingDeleted(Conflict):
    """A file that the row names is being deleted."""

    hint = "Send the file again."


class FileEvidence(SQLModel, table=True):
    """A file that is garbage once `due` has passed. A backup of the database leaves this table out."""

    __tablename__ = "file_evidence"

    key: str = Field(primary_key=True, sa_type=String(MAX_KEY_BYTES))
    state: str = Field(max_length=16, nullable=False)
    due: datetime = Field(nullable=False)
    account: uuid.UUID | None = Field(default=None)
    """The user who announced a direct upload."""
    size: int | None = Field(default=None, sa_type=BigInteger)
    """Bytes of a direct upload."""


def announce(connection: Connection, key: str, now: datetime) -> None:
    """Record an upload before its file is stored."""
    connection.execute(insert(connection).values(key=key, state=PENDING, due=now + ORPHAN_AGE))


def confirm(connection: Connection, keys: Collection[str]) -> None:
    """Remove the records of uploads that commit with this transaction.

    Raises UploadExpired when a record has been taken by a sweep: then the transaction must not commit.
    """
    statement = delete_from(FileEvidence).where(col(FileEvidence.key).in_(keys), col(FileEvidence.state) == PENDING)
    if connection.execute(statement).rowcount != len(keys):
        raise UploadExpired


def discard(connection: Connection, keys: Collection[str], now: datetime) -> None:
    """Record that this transaction gives files up."""
    values = {"state": DISCARDED, "due": now}
    statement = insert(connection).values([{"key": key} | values for key in sorted(keys)])
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=values))


def keep(connection: Connection, keys: Collection[str]) -> None:
    """Withdraw the evidence against files that rows name again. Raises FileBeingDeleted."""
    known = select(FileEvidence.key, FileEvidence.state).where(col(FileEvidence.key).in_(keys))
    states = connection.execute(known.order_by(FileEvidence.key).with_for_update()).all()
    if any(state == DELETING for _, state in states):
        raise FileBeingDeleted
    if discarded := [key for key, state in states if state == DISCARDED]:
        forget(connection, discarded)


def forget(connection: Connection, keys: Collection[str]) -> None:
    """Remove records in any state."""
    connection.execute(delete_from(FileEvidence).where(col(FileEvidence.key).in_(keys)))


def due_keys(connection: Connection, after: str, limit: int, now: datetime) -> list[str]:
    """Some of the files that may be deleted now, in order, beginning after a key."""
    statement = select(FileEvidence.key).where(col(FileEvidence.due) <= now, col(FileEvidence.key) > after)
    return list(connection.execute(statement.order_by(FileEvidence.key).limit(limit)).scalars())


def recorded(connection: Connection, keys: Collection[str]) -> set[str]:
    """Those of the keys for which there is a record."""
    return set(connection.execute(select(FileEvidence.key).where(col(FileEvidence.key).in_(keys))).scalars())


def take(connection: Connection, keys: Collection[str], now: datetime) -> Sequence[str]:
    """Take those of the files that are due, so that no other sweep takes them and no transaction names them again."""
    mine = select(FileEvidence.key).where(col(FileEvidence.key).in_(keys), col(FileEvidence.due) <= now)
    mine = mine.order_by(FileEvidence.key).with_for_update(skip_locked=True)
    statement = update(FileEvidence).where(col(FileEvidence.key).in_(mine))
    statement = statement.values(state=DELETING, due=now + LEASE)
    return connection.execute(statement.returning(col(FileEvidence.key))).scalars().all()


def release(connection: Connection, keys: Collection[str], now: datetime) -> None:
    """Give files back that could not be deleted, for the next sweep."""
    statement = update(FileEvidence).where(col(FileEvidence.key).in_(keys), col(FileEvidence.state) == DELETING)
    connection.execute(statement.values(state=DISCARDED, due=now))


def insert(connection: Connection) -> Insert:
    """An INSERT with ON CONFLICT, which both databases have. Typed as PostgreSQL's; SQLite's has the same methods."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert as insert_postgresql  # noqa: PLC0415 - one of the two

        return insert_postgresql(FileEvidence)
    from sqlalchemy.dialects.sqlite import insert as insert_sqlite  # noqa: PLC0415 - one of the two

    return insert_sqlite(FileEvidence)  # type: ignore[return-value] # see the docstring
