"""Delete an account, with everything that belongs to it, in one transaction.

What it changed stays in the audit log, without address and browser, for as long as the log is kept. These rows then
belong to a *deleted account*: one without name, address or password, which no sign-in can ever use.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence

from sqlalchemy import Column
from sqlalchemy.exc import IntegrityError
from sqlmodel import SQLModel, and_, col, delete, or_, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.apps import App
from fastopp.errors import Conflict
from fastopp.features.account.hooks import find_deletions
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.lockout import account_subject, forget
from fastopp.features.accounts.management import LastSuperuser, UserMissing
from fastopp.features.accounts.models import DELETED_DOMAIN, AuditLog, User
from fastopp.web.languages import Message

NO_PASSWORD = "!"  # noqa: S105 - fits no password
HANDLED = ("CASCADE", "SET NULL", "SET DEFAULT")  # foreign keys that the database takes care of


class AccountStillUsed(Conflict):
    """Records refer to this account, so it cannot be deleted."""

    hint = "Ask an administrator."

    def __init__(self, tables: Sequence[str]) -> None:
        super().__init__(
            Message("Records in %(tables)s refer to this account, so it cannot be deleted.", tables=", ".join(tables))
        )


async def delete_account(session: AsyncSession, user_id: uuid.UUID, apps: Iterable[App], client: Client) -> User:
    """Delete an account in an open transaction, and return it as it was. Nothing is deleted if this raises.

    Raises
    ------
    UserMissing: another request has deleted it.
    LastSuperuser: no other active superuser is there.
    AccountStillUsed: a row refers to it that neither an app's `delete_account` nor the database takes care of.
    """
    user = await _lock(session, user_id)
    for delete_of_app in find_deletions(apps):
        await delete_of_app(session, user)
    await session.flush()
    if tables := await _tables_that_refer(session, user):
        raise AccountStillUsed(tables)
    await _keep_log(session, user, client)
    await forget(session, account_subject(user.email))
    await session.delete(user)
    try:
        await session.flush()
    except IntegrityError as error:  # from a table that no loaded model describes
        table = getattr(getattr(error.orig, "diag", None), "table_name", None)
        raise AccountStillUsed([table or "another table"]) from None
    return user


async def _lock(session: AsyncSession, user_id: uuid.UUID) -> User:
    # In the order of `change_rights`, so that two superusers cannot delete themselves in the same moment.
    active = col(User.is_superuser).is_(True), col(User.is_active).is_(True)
    statement = select(User.id).where(or_(col(User.id) == user_id, and_(*active)))
    await session.exec(statement.order_by(col(User.id)).with_for_update())
    user = await session.get(User, user_id)
    if user is None:
        raise UserMissing
    others = select(User.id).where(*active, col(User.id) != user_id).limit(1)
    if user.is_superuser and user.is_active and (await session.exec(others)).first() is None:
        raise LastSuperuser
    return user


async def _tables_that_refer(session: AsyncSession, user: User) -> list[str]:
    connection = await session.connection()
    found = set[str]()
    for column in _foreign_keys():
        if column.table.name in found or column.table.name == AuditLog.__tablename__:
            continue
        statement = select(column).where(column == user.id).limit(1)
        if (await connection.execute(statement)).first() is not None:
            found.add(column.table.name)
    return sorted(found)


def _foreign_keys() -> list[Column[uuid.UUID]]:
    users = SQLModel.metadata.tables["users"]
    return [
        key.parent
        for table in SQLModel.metadata.tables.values()
        for key in table.foreign_keys
        if key.column.table is users and (key.ondelete or "").upper() not in HANDLED
    ]


async def _keep_log(session: AsyncSession, user: User, client: Client) -> None:
    """Move what the account changed to a deleted account, and remove what is only about itself."""
    own = col(AuditLog.user_id) == user.id
    about_itself = or_(col(AuditLog.action).in_(audit.SIGN_IN_ACTIONS), col(AuditLog.record_id) == str(user.id))
    await session.exec(delete(AuditLog).where(own, about_itself))
    remains = User(email=f"{uuid.uuid4().hex}@{DELETED_DOMAIN}", hashed_password=NO_PASSWORD, is_active=False)
    session.add(remains)
    await session.flush()
    await session.exec(update(AuditLog).where(own).values(user_id=remains.id, ip_address=None, user_agent=None))
    await audit.record(session, remains, "delete account", "User", user.id, client=client)
