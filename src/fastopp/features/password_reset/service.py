"""A new password by a link that is mailed: for one use, within half an hour, and until the password changes."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.links import LinkInvalid, create_link, find_link, use_link
from fastopp.features.accounts.lockout import account_subject, forget
from fastopp.features.accounts.models import User
from fastopp.features.accounts.service import find_user
from fastopp.features.mail.service import Mail
from fastopp.features.password_reset.other_ways import find_other_ways, remove_other_ways
from fastopp.settings import Settings

LIFETIME = timedelta(minutes=30)


async def send_link(session: AsyncSession, mail: Mail, email: str, client: Client, clock: Clock) -> None:
    """Mail a link to the owner of an active account; to others, nothing."""
    user = await find_user(session, email)
    if user is None or not user.is_active:
        return
    token = await create_link(session, "reset password", user=user, lifetime=LIFETIME, clock=clock)
    await audit.record(session, user, "request password reset", "User", user.id, client=client)
    minutes = int(LIFETIME.total_seconds() // 60)
    await mail.within(session).send("accounts/mail/reset_password", user, token=token, minutes=minutes)


async def find_owner(session: AsyncSession, token: str, clock: Clock) -> User:
    """Return the account of a link. Raises LinkInvalid."""
    link = await find_link(session, "reset password", token, clock=clock)
    user = await session.get(User, link.user_id) if link.user_id else None
    if user is None or not user.is_active:
        raise LinkInvalid
    return user


async def reset(
    session: AsyncSession, mail: Mail, token: str, hashed: str, client: Client, clock: Clock, settings: Settings
) -> User:
    """Set the password of a link's account, which ends its sessions, API tokens, links and lock; and notify its owner.

    The owner has read a mail to the address, so it counts as confirmed. If it was not before, another person may have
    created the account: then that person's identities, passkeys and second factor go. Otherwise they stay, as in
    django-allauth, and the mail names them. Raises LinkInvalid.
    """
    link = await use_link(session, "reset password", token, clock=clock)
    user = await session.get(User, link.user_id, with_for_update=True) if link.user_id else None
    if user is None or not user.is_active:
        raise LinkInvalid
    if not user.email_confirmed:
        await remove_other_ways(session, user)
    user.hashed_password, user.email_unconfirmed_since = hashed, None
    session.add(user)
    await session.flush()
    await forget(session, account_subject(user.email))
    await audit.record(session, user, "reset password", "User", user.id, client=client)
    ways = await find_other_ways(session, user, settings)
    await mail.within(session).send("accounts/mail/password_was_reset", user, ways=ways)
    return user
