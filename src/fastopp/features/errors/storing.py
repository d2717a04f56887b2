"""Write errors: one statement for the groups, one for their events."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import and_, case, null, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, col, delete, select

from fastopp.database.session import Database
from fastopp.features.errors.models import ErrorEvent, ErrorGroup, slot_of
from fastopp.features.errors.pending import Pending

MAX_GROUPS: Final = 500  # those that were seen last stay
MAX_EVENTS: Final = 5000  # of all groups: at most some 50 MB
TRIMMED_AT_ONCE: Final = 500


class ErrorStore:
    """Writes errors to a database. Its statements are built once: SQLAlchemy takes longer for that than to run them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._groups = _upsert_groups(database)
        self._events = _upsert_events(database)

    async def store(self, batch: Collection[Pending], release: str) -> bool:
        """Add errors to their groups, in one transaction. Return whether a group is new.

        Two processes that see an error first at the same time make one group of it. An occurrence reopens a resolved
        group; see `_regresses`.
        """
        # In one order, so that two processes do not wait for each other.
        pending = sorted(batch, key=lambda each: each.fingerprint)
        rows = [_row(each, release) for each in pending]
        if not any(each.events for each in pending) and len(rows) == 1:
            async with self._database.autocommit() as connection:
                found = (await connection.execute(self._groups, rows)).all()
        else:
            async with self._database.engine.begin() as connection:
                found = (await connection.execute(self._groups, rows)).all()
                groups = {row.fingerprint: row for row in found}
                events = [event for each in pending for event in _event_rows(each, groups[each.fingerprint])]
                if events:
                    await connection.execute(self._events, events)
        counts = {row.fingerprint: row.total for row in found}
        return any(counts[each.fingerprint] == each.count for each in pending)


def _row(pending: Pending, release: str) -> dict[str, Any]:
    return {
        "fingerprint": pending.fingerprint,
        "type": pending.type,
        "message": pending.message,
        "place": pending.place,
        "state": "open",
        "count": pending.count,
        "retries": pending.retries,
        "stored": len(pending.events),
        "first_seen": pending.first_seen,
        "last_seen": pending.last_seen,
        "release": release,
        "resolved_from": "",
        # Attempts that are made again are no news.
        "alerted_at": pending.last_seen if pending.count == pending.retries else None,
    }


def _event_rows(pending: Pending, group: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a row
    first = group.stored - len(pending.events) + 1
    return [
        {"group_id": group.id, "slot": slot_of(number), "number": number, "at": event.at, **event.values}
        for number, event in enumerate(pending.events, first)
    ]


def _insert(database: Database, table: type[SQLModel]) -> postgresql.Insert:
    """Typed as PostgreSQL's; SQLite's has the same methods."""
    if database.url.backend == "postgresql":
        return postgresql.insert(table)
    return sqlite.insert(table)  # type: ignore[return-value] # see the docstring


def _upsert_groups(database: Database) -> Any:  # noqa: ANN401 - a statement
    table = ErrorGroup
    statement = _insert(database, table)
    new = statement.excluded
    regresses = _regresses(new.release)
    failed_first = and_(col(table.count) == col(table.retries), new.count > new.retries)
    statement = statement.on_conflict_do_update(
        index_elements=["fingerprint"],
        set_={
            "count": col(table.count) + new.count,
            "retries": col(table.retries) + new.retries,
            "stored": col(table.stored) + new.stored,
            "message": case((new.message != "", new.message), else_=col(table.message)),
            "last_seen": case((new.last_seen > col(table.last_seen), new.last_seen), else_=col(table.last_seen)),
            "release": new.release,
            "state": case((regresses, "open"), else_=col(table.state)),
            "regressed_at": case((regresses, new.last_seen), else_=col(table.regressed_at)),
            "alerted_at": case((or_(regresses, failed_first), null()), else_=col(table.alerted_at)),
        },
    )
    wanted: Any = (col(table.id), col(table.fingerprint), col(table.count).label("total"), col(table.stored))
    return statement.returning(*wanted)


def _regresses(release: Any) -> Any:  # noqa: ANN401 - expressions of SQLAlchemy
    """Whether an occurrence reopens its group: it is resolved, and this is not a release in which it may still occur.

    That is the release of the newest occurrence before, unless it was resolved while that release ran: an old instance
    may still run. Where the next release resolves it, it is the one before that.
    """
    group = ErrorGroup
    here = or_(release == col(group.resolved_release), release != col(group.resolved_from))
    return and_(col(group.state) == "resolved", here)


def _upsert_events(database: Database) -> Any:  # noqa: ANN401 - a statement
    statement = _insert(database, ErrorEvent)
    columns = ErrorEvent.__table__.columns.keys()  # type: ignore[attr-defined]  # SQLModel's own
    replaced = {name: statement.excluded[name] for name in columns if name not in ("id", "group_id", "slot")}
    return statement.on_conflict_do_update(index_elements=["group_id", "slot"], set_=replaced)


async def trim(database: Database) -> int:
    """Delete groups beyond MAX_GROUPS, and events beyond MAX_EVENTS, the oldest first. Return how many."""
    groups = select(ErrorGroup.id).order_by(col(ErrorGroup.last_seen).desc(), col(ErrorGroup.id).desc())
    events = select(ErrorEvent.id).order_by(col(ErrorEvent.at).desc(), col(ErrorEvent.id).desc())
    removed = 0
    for table, kept in ((ErrorGroup, groups.offset(MAX_GROUPS)), (ErrorEvent, events.offset(MAX_EVENTS))):
        removed += await _delete_in_batches(database, table, kept.limit(TRIMMED_AT_ONCE))
    return removed


async def _delete_in_batches(database: Database, table: type[ErrorGroup | ErrorEvent], some: Any) -> int:  # noqa: ANN401 - a SELECT
    """Delete rows as long as there are some of these ids."""
    removed = 0
    while True:
        async with database.read() as session:
            ids = (await session.exec(some)).all()
        if not ids:
            return removed
        async with database.transaction() as session:
            await session.exec(delete(table).where(col(table.id).in_(ids)))
        removed += len(ids)
