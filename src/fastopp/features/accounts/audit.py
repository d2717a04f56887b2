"""The record of who changed what: one row in `audit_logs` for each create, update and delete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.features.accounts.lockout import client_address
from fastopp.features.accounts.models import AuditLog, User

SHORT = 50  # characters, the size of the columns action, model_name and record_id
MAX_VALUE = 500  # characters kept of one value; the record shows what changed and is no backup
MAX_USER_AGENT = 300  # characters
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
) -> None:
    """Add a row to the session, to be kept or lost together with the recorded change.

    Parameters
    ----------
    action: `create`, `update`, `delete`, or a verb of your own, at most 50 characters like the next two.
    record_id: anything whose text names the record.
    changes: field to new value, or to a pair of old and new; values of secrets are masked, long ones cut.
    request: for the address and the browser.
    """
    entry = AuditLog(
        user_id=user.id,
        action=action[:SHORT],
        model_name=model_name[:SHORT],
        record_id=str(record_id)[:SHORT],
        changes=describe(changes) if changes else None,
        ip_address=client_address(request) if request else None,
        user_agent=request.headers.get("user-agent", "")[:MAX_USER_AGENT] or None if request else None,
    )
    session.add(entry)
    await session.flush()


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
