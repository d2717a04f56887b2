"""Change the email address of an account: confirmed at the new one, reported to the old one, and undone from there."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Final

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.links import LinkInvalid, create_link, end_links, find_link, use_link
from fastopp.features.accounts.lockout import Subject, record_failure, refuse_locked
from fastopp.features.accounts.models import AccountLink, User, fold_email
from fastopp.features.accounts.service import EmailTaken, find_user
from fastopp.features.accounts.user_sessions import revoke_all
from fastopp.features.mail.service import Mail

CONFIRM_WITHIN: Final = timedelta(hours=24)
UNDO_WITHIN: Final = timedelta(days=7)
REQUESTS: Final = 5  # of one account, before it has to wait
PAGE: Final = "/account/address"


async def count_request(session: AsyncSession, user: User, clock: Clock) -> None:
    """Count a wish for another address, since each sends mail or says whether an address is taken.

    Raises TooManyAttempts.
    """
    subject = Subject(f"address change:{user.id}", REQUESTS)
    await refuse_locked(session, subject, clock=clock)
    await record_failure(session, subject, clock=clock)


async def request_change(
    session: AsyncSession, user: User, email: str, mail: Mail, client: Client, clock: Clock
) -> None:
    """Mail a link to the new address; if another account has it, a mail that says so. The page answers the same."""
    taken = await find_user(session, email)
    await end_links(session, "change email", user)
    token = await create_link(session, "change email", user=user, email=email, lifetime=CONFIRM_WITHIN, clock=clock)
    if taken is None or taken.id == user.id:
        await mail.within(session).send("account/mail/confirm_address", email, path=f"{PAGE}/confirm/{token}")
    else:
        await mail.within(session).send("account/mail/address_taken", taken)
    await audit.record(session, user, "request address", "User", user.id, {"email": email}, client=client)


async def confirm_change(
    session: AsyncSession, user: User, token: str, mail: Mail, client: Client, clock: Clock
) -> User:
    """Use a link at the new address, signed in as the account that it is for. Raises LinkInvalid, EmailTaken."""
    link = await use_link(session, "change email", token, clock=clock)
    if link.user_id != user.id or link.email is None:
        raise LinkInvalid
    return await change_address(session, user, link.email, mail, client, clock)


async def find_change(session: AsyncSession, user: User, token: str, clock: Clock) -> AccountLink:
    """Return the link for the page that shows it. Raises LinkInvalid."""
    link = await find_link(session, "change email", token, clock=clock)
    if link.user_id != user.id:
        raise LinkInvalid
    return link


async def change_address(
    session: AsyncSession, user: User, email: str, mail: Mail, client: Client, clock: Clock
) -> User:
    """Change the address now, and report it to the old one, if mail can be sent. Raises EmailTaken, LinkInvalid."""
    changed, old = await _store(session, user.id, email)
    await audit.record(session, changed, "change address", "User", changed.id, {"email": (old, email)}, client=client)
    if mail.configured:
        changed.email_unconfirmed_since = None
        session.add(changed)
        # For no account, since another password would end it, and a thief of the account changes that too.
        details = {"user_id": str(changed.id)}
        token = await create_link(
            session, "restore email", email=old, details=details, lifetime=UNDO_WITHIN, clock=clock
        )
        reader = Addressee(old, changed.language, changed.time_zone)
        expires = clock.now() + UNDO_WITHIN
        path = f"{PAGE}/undo/{token}"
        await mail.within(session).send("account/mail/address_changed", reader, new=email, path=path, expires=expires)
    return changed


async def undo_change(session: AsyncSession, token: str, hashed_password: str, client: Client, clock: Clock) -> User:
    """Use a link at the old address: restore it, with another password, and sign out everywhere.

    Raises LinkInvalid, EmailTaken.
    """
    link = await use_link(session, "restore email", token, clock=clock)
    changed, new = await _store(session, uuid.UUID((link.details or {})["user_id"]), link.email or "")
    changed.hashed_password = hashed_password
    session.add(changed)
    await session.flush()
    await revoke_all(session, changed, client, clock=clock)
    changes = {"email": (new, changed.email)}
    await audit.record(session, changed, "restore address", "User", changed.id, changes, client=client)
    return changed


class Addressee:
    """The old address of an account, as the recipient of a mail in the account's language."""

    def __init__(self, email: str, language: str | None, time_zone: str | None) -> None:
        self.email = email
        self.language = language
        self.time_zone = time_zone


async def _store(session: AsyncSession, user_id: uuid.UUID, email: str) -> tuple[User, str]:
    """Return the account with its new address, and the old address."""
    statement = select(User).where(col(User.id) == user_id, col(User.is_active).is_(True))
    user = (await session.exec(statement.with_for_update())).first()
    if user is None:
        raise LinkInvalid
    taken = await find_user(session, email)
    if taken is not None and taken.id != user.id:
        raise EmailTaken
    old, user.email = user.email, email
    session.add(user)
    try:
        await session.flush()
    except IntegrityError:  # another account took it in the same moment
        raise EmailTaken from None
    return user, old


def is_same(user: User, email: str) -> bool:
    """Return whether this is the account's address already."""
    return fold_email(user.email) == fold_email(email)
