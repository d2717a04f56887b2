"""The admin's database sessions: they see only the rows that the user may see, and record every change.

Both are done here, below SQLAdmin, so that they hold for everything that goes through a session: lists, counts,
details, exports, lookups of related rows, an app's own views and actions.
"""

# ruff: noqa: ANN401 - SQLAdmin and SQLAlchemy hand over rows of any model
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, event, inspect
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.ext.asyncio import AsyncSession as SQLAlchemySession
from sqlalchemy.ext.asyncio import async_sessionmaker
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria
from sqlmodel.ext.asyncio.session import AsyncSession
from starlette.requests import Request

from fastopp.core.dependencies import READ_ONLY_METHODS
from fastopp.database.engine import in_autocommit
from fastopp.database.session import Database
from fastopp.errors import BadRequest, Conflict, NotFound
from fastopp.features.accounts.audit import SHORT, describe
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.models import AuditLog, User
from fastopp.storage.tracking import TrackingSession

DATA_EXCEPTION = "22"  # SQLSTATE's class: https://www.postgresql.org/docs/current/errcodes-appendix.html


class StillInUse(Conflict):
    """Other records refer to this one, or it refers to one that is gone."""

    hint = "Remove what refers to it first."


class AlreadyThere(Conflict):
    """There is already a record with this value, which must be unique."""


class DoesNotFit(BadRequest):
    """A value does not fit its column: it is too long, too large or of the wrong type."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The user of the admin in this request, and the rows that they may see (models not named here: all)."""

    user: User
    request: Request
    rows: Mapping[type, ColumnElement[bool]]

    @property
    def only_reads(self) -> bool:
        """Whether the request changes nothing. SQLAdmin's custom actions are GETs that may."""
        return self.request.method in READ_ONLY_METHODS and "/action/" not in self.request.url.path


# Set for each request once the user is known. Without it a session refuses to work, rather than to show everything.
current_actor: ContextVar[Actor] = ContextVar("fastopp_admin_actor")


class AuditedSession(TrackingSession):
    """The synchronous inside of an AdminSession, on which the listeners below hang."""

    execute = Session.execute  # SQLAdmin calls it, and SQLModel's own warns of it

    def get_bind(self, *args: Any, **options: Any) -> Engine | Connection:
        """Reading happens in autocommit, which spares two round trips a query."""
        reading: Engine = self.info["reading"]
        return reading if current_actor.get().only_reads else super().get_bind(*args, **options)


class AdminSession(AsyncSession):
    """A session that says in one sentence why a change was refused, without SQL and values."""

    sync_session_class = AuditedSession

    async def execute(self, statement: Any, *args: Any, **options: Any) -> Any:
        """Run a statement. Raises NotFound for a row's key, DoesNotFit for another value that no column can hold."""
        try:
            return await SQLAlchemySession.execute(self, statement, *args, **options)
        except (DBAPIError, OverflowError) as error:
            if not _is_out_of_range(error):
                raise
        request = current_actor.get().request
        raise NotFound if "pk" in request.path_params or "pks" in request.query_params else DoesNotFit

    async def commit(self) -> None:
        """Write and commit. Raises StillInUse, AlreadyThere, DoesNotFit."""
        with _explained():
            await super().commit()

    async def flush(self, objects: Any = None) -> None:
        """Write. Raises as `commit`."""
        with _explained():
            await super().flush(objects)


def admin_sessions(database: Database) -> async_sessionmaker[AdminSession]:
    """Makes sessions on the process's one engine."""
    info = database.session_info | {"reading": in_autocommit(database.engine).sync_engine}
    return async_sessionmaker(bind=database.engine, class_=AdminSession, expire_on_commit=False, info=info)


def _is_out_of_range(error: DBAPIError | OverflowError) -> bool:
    """Return whether a driver or PostgreSQL has refused a value, like an integer of more bits than the column's."""
    if isinstance(error, OverflowError):  # SQLite's driver
        return True
    return str(getattr(error.orig, "sqlstate", None) or "").startswith(DATA_EXCEPTION)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise _refusal(error) from None
    except DataError:
        raise DoesNotFit from None
    except StatementError as error:
        if isinstance(error.orig, ValueError | TypeError | OverflowError | ArithmeticError):
            raise DoesNotFit from None
        raise
    except (ValueError, OverflowError):
        raise DoesNotFit from None


def _refusal(error: IntegrityError) -> Conflict:
    # SQLSTATE of PostgreSQL (class 23), text of SQLite: https://www.postgresql.org/docs/current/errcodes-appendix.html
    state = getattr(error.orig, "sqlstate", None)
    if state == "23503" or "FOREIGN KEY" in str(error.orig):
        return StillInUse()
    if state == "23505" or "UNIQUE" in str(error.orig):
        return AlreadyThere()
    return Conflict("The database refuses this change: a value is missing or not allowed.")


@event.listens_for(AuditedSession, "do_orm_execute")
def _restrict_rows(state: ORMExecuteState) -> None:
    # Reloads of rows and relationships follow a query that was restricted.
    if state.is_column_load:
        return
    for model, condition in current_actor.get().rows.items():
        state.statement = state.statement.options(with_loader_criteria(model, condition, include_aliases=True))


@event.listens_for(AuditedSession, "after_flush")
def _record_changes(session: Session, context: UOWTransaction) -> None:
    # Here new rows have their keys, and old values are still known. The next round of the commit writes the entries.
    actor = current_actor.get()
    entries = [
        *(_entry(actor, "create", row, _new_values(row)) for row in session.new),
        *(_entry(actor, "update", row, changes) for row in session.dirty if (changes := _changed_values(row))),
        *(_entry(actor, "delete", row, _old_values(row)) for row in session.deleted),
    ]
    session.add_all(entry for entry in entries if entry is not None)


def _entry(actor: Actor, action: str, row: Any, changes: dict[str, Any]) -> AuditLog | None:
    if isinstance(row, AuditLog):
        return None
    client = client_of(actor.request)
    return AuditLog(
        user_id=actor.user.id,
        action=action,
        model_name=type(row).__name__[:SHORT],
        record_id=";".join(str(part) for part in inspect(row).mapper.primary_key_from_instance(row))[:SHORT],
        changes=describe(changes),
        ip_address=client.address,
        user_agent=client.user_agent,
    )


def _new_values(row: Any) -> dict[str, Any]:
    return {name: {"old": None, "new": getattr(row, name)} for name in _columns(row) if getattr(row, name) is not None}


def _old_values(row: Any) -> dict[str, Any]:
    return {name: {"old": getattr(row, name), "new": None} for name in _columns(row) if getattr(row, name) is not None}


def _changed_values(row: Any) -> dict[str, Any]:
    changes = {}
    for name in _columns(row):
        history = inspect(row).attrs[name].history
        if history.has_changes():
            changes[name] = {"old": next(iter(history.deleted), None), "new": next(iter(history.added), None)}
    return changes


def _columns(row: Any) -> list[str]:
    return [attribute.key for attribute in inspect(row).mapper.column_attrs]
