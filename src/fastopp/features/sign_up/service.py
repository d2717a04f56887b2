"""Signing up: what is typed waits in a link that is mailed, and becomes an account when the address is confirmed.

Until then there is no account. So nothing has to be removed but the link, which expires; an address that another person
typed is not taken; and nothing but the owner's mailbox shows whether there is an account.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, NamedTuple

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.links import create_link, use_link
from fastopp.features.accounts.models import AccountLink, User, fold_email
from fastopp.features.accounts.passwords import verify_password
from fastopp.features.accounts.service import EmailTaken, add_if_missing, find_user
from fastopp.features.mail.service import Mail

KEPT = timedelta(days=3)
"""Until then a sign-up can be confirmed."""


class NewAccount(NamedTuple):
    """An account as it was typed, its password hashed."""

    email: str
    hashed_password: str
    name: str | None = None
    next_page: str = ""
    """The page that the visitor came from, to return to."""


async def begin(session: AsyncSession, mail: Mail, wanted: NewAccount, clock: Clock) -> str:
    """Keep a sign-up, mail its link to the address, and return the link's token.

    If there is an account, its owner is notified instead, with the same work: the link is stored, but not sent.
    """
    token = await _keep(session, wanted, clock)
    owner = await find_user(session, wanted.email)
    if owner is None:
        await mail.within(session).send("accounts/mail/confirm", wanted.email, token=token, days=KEPT.days)
    else:
        await mail.within(session).send("accounts/mail/has_account", owner)
    return token


async def send_again(session: AsyncSession, mail: Mail, email: str, clock: Clock) -> None:
    """Mail another link for the newest sign-up of an address, or notify the owner of an account."""
    owner = await find_user(session, email)
    if owner is not None:
        await mail.within(session).send("accounts/mail/has_account", owner)
        return
    same = col(AccountLink.purpose) == "confirm", col(AccountLink.email) == fold_email(email)
    newest = select(AccountLink).where(*same, col(AccountLink.expires_at) > clock.now())
    found = (await session.exec(newest.order_by(col(AccountLink.created_at).desc()).limit(1))).first()
    if found is not None:
        wanted = _read(found)
        token = await _keep(session, wanted, clock)
        await mail.within(session).send("accounts/mail/confirm", wanted.email, token=token, days=KEPT.days)


async def knows_password(link: AccountLink, password: str) -> bool:
    """Return whether a password is the one that was typed for a link's sign-up. Raises PasswordRejected: too long."""
    return (await verify_password(password, _read(link).hashed_password)).matches


async def confirm(session: AsyncSession, token: str, client: Client, clock: Clock) -> tuple[User, str]:
    """Create the account of a link, whose owner has now confirmed the address; and return the page to go to.

    Raises LinkInvalid, and EmailTaken when there is an account by now.
    """
    wanted = _read(await use_link(session, "confirm", token, clock=clock))
    return await _create(session, wanted, client), wanted.next_page


async def create_unconfirmed(session: AsyncSession, wanted: NewAccount, client: Client, clock: Clock) -> None:
    """Create an account without a mail; if there is one already, do nothing."""
    user = User(**_columns(wanted), email_unconfirmed_since=clock.now())
    if await add_if_missing(session, user):
        await audit.record(session, user, "sign up", "User", user.id, client=client)


def _columns(wanted: NewAccount) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "email": wanted.email,
        "hashed_password": wanted.hashed_password,
        "name": wanted.name,
    }


async def _create(session: AsyncSession, wanted: NewAccount, client: Client) -> User:
    user = User(**_columns(wanted))
    if not await add_if_missing(session, user):
        raise EmailTaken(hint="Sign in, or choose “Forgot your password?”.")
    await audit.record(session, user, "sign up", "User", user.id, client=client)
    return user


async def _keep(session: AsyncSession, wanted: NewAccount, clock: Clock) -> str:
    return await create_link(
        session, "confirm", email=fold_email(wanted.email), details=wanted._asdict(), lifetime=KEPT, clock=clock
    )


def _read(link: AccountLink) -> NewAccount:
    return NewAccount(**(link.details or {}))
