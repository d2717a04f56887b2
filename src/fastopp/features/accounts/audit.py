"""The record of who did what: one row in `audit_logs` for each change, sign-in, sign-out and revocation."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import sqlalchemy
from fastapi import Request
from sqlmodel import col, delete, insert, literal, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.features.accounts.client import Client, client_of
from fastopp.features.accounts.models import DELETED_DOMAIN, AuditLog, User

SHORT = 50  # characters, the size of the columns action, model_name and record_id
MAX_VALUE = 500  # characters kept of one value; the record shows what changed and is no backup
PRUNED_AT_ONCE = 500  # old rows that one statement of clean-up removes
SIGN_IN_ACTIONS = (
    "sign in",
    "sign in failed",
    "sign out",
    "sign up",
    "accept invitation",
    "request password reset",
    "reset password",
    "revoke",
    "revoke all",
    "create token",
    *("add second factor", "remove second factor", "use second factor", "second factor failed"),
    *("use recovery code", "new recovery codes", "add passkey", "rename passkey"),
    *("remove passkey", "use passkey"),
)
MASK = "***"
SECRET_WORDS = ("password", "secret", "token", "hash", "api_key")  # in the name of a field whose value is a secret


async def record(
    session: AsyncSession,
    user: User,
    action: str,
    model_name: str,
    record_id: object,
    changes: Mapping[str, Any] | None = None,
    request: Request | None = None,
    *,
    client: Client | None = None,
) -> None:
    """Add a row to the session, to be kept or lost together with the recorded change.

    Parameters
    ----------
    action: `create`, `update`, `delete`, or a verb of your own, at most 50 characters like the next two.
    record_id: anything whose text names the record.
    changes: field to new value, or to a pair of old and new; values of secrets are masked, long ones cut.
    request, client: either of them, for the address and the browser.
    """
    if client is None and request is not None:
        client = client_of(request)
    entry = AuditLog(
        user_id=user.id,
        action=action[:SHORT],
        model_name=model_name[:SHORT],
        record_id=str(record_id)[:SHORT],
        changes=describe(changes) if changes else None,
        ip_address=client.address if client else None,
        user_agent=client.user_agent if client else None,
    )
    session.add(entry)
    await session.flush()


async def record_refusal(
    session: AsyncSession, user_id: uuid.UUID, client: Client, *, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Record a wrong password for an account. For an id that no account has, do the same work and record nothing.

    So the time of an answer reveals no account, and guesses at unknown ones do not fill the table.
    """
    row = {
        "id": uuid.uuid4(),
        "user_id": col(User.id),
        "action": "sign in failed",
        "model_name": "User",
        "record_id": str(user_id),
        "ip_address": client.address,
        "user_agent": client.user_agent,
        "timestamp": clock.now(),
    }
    table = AuditLog.__table__  # type: ignore[attr-defined]  # SQLModel's own
    values: list[Any] = [
        value if name == "user_id" else literal(value, table.c[name].type) for name, value in row.items()
    ]
    await session.exec(
        insert(AuditLog).from_select(list(row), sqlalchemy.select(*values).where(col(User.id) == user_id))
    )


async def remove_old(session: AsyncSession, keep_days: int, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Remove some of the rows that are older than so many days: how many; 0 when there are none left."""
    old = select(AuditLog.id).where(col(AuditLog.timestamp) < clock.now() - timedelta(days=keep_days))
    batch = old.limit(PRUNED_AT_ONCE).with_for_update(skip_locked=True)
    removed: int = (await session.exec(delete(AuditLog).where(col(AuditLog.id).in_(batch)))).rowcount
    return removed


async def remove_deleted_accounts(session: AsyncSession) -> int:
    """Remove some of the deleted accounts that no record needs any more: how many; 0 when there are none left."""
    kept = select(AuditLog.id).where(col(AuditLog.user_id) == col(User.id)).exists()
    inactive = col(User.is_active).is_(other=False)  # as all of them are; an index begins with it
    over = select(User.id).where(inactive, col(User.email).like(f"%@{DELETED_DOMAIN}"), ~kept).limit(PRUNED_AT_ONCE)
    removed: int = (await session.exec(delete(User).where(col(User.id).in_(over)))).rowcount
    return removed


def describe(changes: Mapping[str, Any]) -> str:
    """The changes as JSON, without secrets."""
    return json.dumps({name: MASK if _is_secret(name) else _plain(value) for name, value in changes.items()})


def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_WORDS)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): MASK if _is_secret(str(name)) else _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    text = str(value)
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "…"
