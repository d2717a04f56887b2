"""Tags: what invalidates cached values when a transaction is committed.

A transaction writes new versions of its tags last, so it holds their rows for a moment only. What is rolled back
invalidates nothing. A value remembers the versions from before its computation: if the commit came in between, the
versions differ and the value is never served.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction
from sqlalchemy.util import await_only
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.cache.errors import NotCacheable, StoreUnavailable
from fastopp.cache.sql_store import SQLStore, new_versions
from fastopp.cache.tables import MAX_TAG
from fastopp.errors import FastOppError
from fastopp.storage.file_changes import CLOCK
from fastopp.storage.tracking import TrackingSession

if TYPE_CHECKING:
    from fastopp.cache.cache import Cache

log = logging.getLogger(__name__)

CACHE: Final = "fastopp_cache"
"""The key in a session's `info` of the process's cache."""

TABLE_TAGS: Final = "fastopp_cache_tags"
"""The key in a table's `info`."""

_CHANGED = "fastopp_changed_tags"


class NoTransaction(FastOppError):
    """Tags are invalidated in a transaction, and this session only reads."""

    hint = "Use the session of a POST request or of `database.transaction()`, or call `cache.invalidate(...)`."


def cache_tags(*tags: str) -> dict[str, Any]:
    """Return the `__table_args__` of a model whose changes invalidate tags: `cache_tags("products")`."""
    return {"info": {TABLE_TAGS: checked(tags)}}


def invalidate_tags(session: AsyncSession, *tags: str) -> None:
    """Invalidate cached values by their tags when the session's transaction is committed. Raises NoTransaction."""
    if not isinstance(session.sync_session, TrackingSession):
        raise NoTransaction
    _note(session.sync_session, checked(tags))


def checked(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Return tags as they are. Raise NotCacheable for one that is too long."""
    for tag in tags:
        if not 0 < len(tag) <= MAX_TAG:
            raise NotCacheable(f"The tag {tag[:50]!r} has {len(tag)} characters.", hint=f"Use 1 to {MAX_TAG}.")
    return tags


def _note(session: Session, tags: tuple[str, ...]) -> None:
    if tags and CACHE in session.info:
        session.info.setdefault(_CHANGED, set()).update(tags)


@event.listens_for(TrackingSession, "after_flush")
def _note_rows(session: Session, *_: object) -> None:
    for row in (*session.new, *session.dirty, *session.deleted):
        table = row.__table__
        if TABLE_TAGS in table.info:
            _note(session, table.info[TABLE_TAGS])


@event.listens_for(TrackingSession, "do_orm_execute")
def _note_statement(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        table = getattr(state.statement, "table", None)
        _note(state.session, getattr(table, "info", {}).get(TABLE_TAGS, ()))


@event.listens_for(TrackingSession, "before_commit")
def _write_versions(session: Session) -> None:
    if CACHE not in session.info or session.in_nested_transaction():
        return
    session.flush()  # which may change rows with tags
    cache: Cache = session.info[CACHE]
    if (changed := session.info.get(_CHANGED)) and isinstance(cache.store, SQLStore):
        connection = session.connection()
        connection.execute(new_versions(connection.dialect.name, tuple(changed), session.info[CLOCK].time()))


@event.listens_for(TrackingSession, "after_commit")
def _forget_copies(session: Session) -> None:
    if session.in_nested_transaction() or not (changed := session.info.pop(_CHANGED, None)):
        return
    cache: Cache = session.info[CACHE]
    cache.forget(tuple(changed))
    if cache.store is not None and not isinstance(cache.store, SQLStore):
        try:
            await_only(cache.store.invalidate(tuple(changed)))
        except StoreUnavailable:
            log.exception("Cached values with the tags %s could not be invalidated", ", ".join(sorted(changed)))


@event.listens_for(TrackingSession, "after_transaction_end")
def _forget_tags(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_CHANGED, None)
