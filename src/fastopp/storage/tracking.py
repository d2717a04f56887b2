"""Sessions whose rows take their files along.

When a row is deleted, or its column of `uploads_under` is changed or cleared, that is recorded in the same transaction,
and the file is removed after the commit. Statements that bypass the session, like `delete(Model)`, are not followed:
call `remove_photo` for their files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import event, inspect
from sqlalchemy.orm import AttributeState, ORMExecuteState, SessionTransaction
from sqlmodel import Session

from fastopp.storage.addresses import key_at
from fastopp.storage.base import Storage
from fastopp.storage.file_changes import FileChanges
from fastopp.storage.references import UPLOADS_UNDER

STORAGE = "fastopp_storage"
"""The key in a session's `info` of the storage that holds its rows' files."""

_WROTE = "fastopp_wrote"


class TrackingSession(Session):
    """A session that follows the files of its rows, if its `info` names a storage."""


@event.listens_for(TrackingSession, "before_flush")
def _follow(session: Session, *_: object) -> None:
    storage: Storage | None = session.info.get(STORAGE)
    if storage is None:
        return
    given_up, named = set[str](), set[str]()
    for row in (*session.dirty, *session.new):
        for attribute in _uploads(row):
            history = attribute.load_history()
            given_up |= _keys(storage, history.deleted)
            named |= _keys(storage, history.added)
    for row in session.deleted:
        for attribute in _uploads(row):
            history = attribute.load_history()
            given_up |= _keys(storage, (*history.deleted, *history.unchanged))
    if given_up or named:
        FileChanges.of(session, storage).follow(given_up, named)


def has_changes(session: Session) -> bool:
    """Return whether the session's transaction has changed rows, or would with the next flush."""
    changed = any(session.is_modified(row) for row in session.dirty)
    return changed or bool(session.new or session.deleted) or _WROTE in session.info


@event.listens_for(TrackingSession, "after_flush")
def _note_flush(session: Session, *_: object) -> None:
    session.info[_WROTE] = True


@event.listens_for(TrackingSession, "do_orm_execute")
def _note_statement(state: ORMExecuteState) -> None:
    if state.is_insert or state.is_update or state.is_delete:
        state.session.info[_WROTE] = True


@event.listens_for(TrackingSession, "after_transaction_end")
def _forget(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(_WROTE, None)


def _uploads(row: Any) -> Iterator[AttributeState]:  # noqa: ANN401 - a row of any model
    state = inspect(row)
    for attribute in state.mapper.column_attrs:
        if UPLOADS_UNDER in attribute.columns[0].info:
            yield state.attrs[attribute.key]


def _keys(storage: Storage, urls: Collection[Any] | None) -> set[str]:
    return {key for url in urls or () if (key := key_at(storage, url))}
