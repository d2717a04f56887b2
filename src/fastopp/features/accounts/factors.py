"""Second factors and passkeys of accounts, as far as more than one feature needs them."""

from __future__ import annotations

import uuid
from typing import Literal

from fastapi import Request
from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.database.errors import TablesMissing
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.models import User
from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.accounts.user_sessions import revoke_all
from fastopp.features.mail.service import Mail
from fastopp.features.passkeys.models import Passkey
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor
from fastopp.settings import Settings
from fastopp.web.templating import reader_of_request, templates_of

Change = Literal[
    "second factor added",
    "second factor removed",
    "recovery code used",
    "new recovery codes",
    "passkey added",
    "passkey removed",
    "factors reset",
]
MAIL = "accounts/mail/security_change"


def is_required_of(user: User, settings: Settings) -> bool:
    """Return whether REQUIRE_SECOND_FACTOR applies to an account."""
    required = settings.of(AccountSettings).require_second_factor
    return required == "all" or (required == "staff" and (user.is_staff or user.is_superuser))


async def find_factors(runtime: Runtime, user_id: uuid.UUID) -> tuple[bool, bool]:
    """Return whether an account has a second factor, and whether it has a passkey. One query.

    Before the migration that creates their tables, no account has either.
    """
    statement = select(
        select(SecondFactor.user_id).where(col(SecondFactor.user_id) == user_id).exists(),
        select(Passkey.id).where(col(Passkey.user_id) == user_id).exists(),
    )
    try:
        async with runtime.database.read() as session:
            has_code, has_passkey = (await session.exec(statement)).one()
    except TablesMissing:
        return False, False
    return has_code, has_passkey


async def reset_factors(
    session: AsyncSession, user: User, *, by: User | None, client: Client, mail: Mail, keep: uuid.UUID | None = None
) -> None:
    """Remove an account's second factor, recovery codes and passkeys, end its sessions, and mail its owner.

    Parameters
    ----------
    by: None for the command line and emergency access.
    keep: the one session that goes on.
    """
    for model in (SecondFactor, RecoveryCode, Passkey):
        await session.exec(delete(model).where(col(model.user_id) == user.id))
    await audit.record(session, by or user, "reset factors", "User", user.id, client=client)
    await revoke_all(session, user, client, by=by, keep=keep)
    await notify_owner(mail, user, "factors reset", client)


async def notify_owner(mail: Mail, user: User, change: Change, client: Client) -> None:
    """Mail the owner of an account what has changed, where mail is configured."""
    if mail.configured:
        await mail.send(MAIL, user, change=change, address=client.address)


def mail_of(request: Request, runtime: Runtime, session: AsyncSession) -> Mail:
    """Return the mail service in a transaction of the caller."""
    return Mail(runtime, templates_of(request), session, reader=reader_of_request(request))
