"""Invitations: a link for an address, with a role and a group, good for some days and one use."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.errors import NotFound
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.links import LinkInvalid, create_link, find_link, use_link
from fastopp.features.accounts.management import Role
from fastopp.features.accounts.models import AccountLink, User, fold_email
from fastopp.features.accounts.service import EmailTaken, add_if_missing, check_email, find_user
from fastopp.features.mail.service import Mail

DAYS = 7  # that an invitation is good for, unless its sender says otherwise
LONGEST = 60  # days
SHOWN = 200  # invitations


class InvitationMissing(NotFound):
    """There is no such invitation."""


class Invitation(NamedTuple):
    """The address and the rights of an invitation."""

    email: str
    role: Role = "user"
    group: str | None = None
    invited_by: str | None = None
    """The id of a superuser; None for the command line."""


class Sent(NamedTuple):
    """An invitation that was stored."""

    email: str
    path: str
    """Of its link, which is stored nowhere."""
    mailed: bool


async def invite(
    session: AsyncSession,
    mail: Mail,
    wanted: Invitation,
    days: int,
    clock: Clock,
    *,
    inviter: User | None = None,
    client: Client | None = None,
) -> Sent:
    """Store an invitation, and mail it if the site has mail. Raises InvalidEmail, EmailTaken."""
    email = check_email(wanted.email)
    if await find_user(session, email) is not None:
        raise EmailTaken
    wanted = wanted._replace(email=email, invited_by=None if inviter is None else str(inviter.id))
    lifetime = timedelta(days=days)
    token = await create_link(
        session, "invite", email=fold_email(email), details=wanted._asdict(), lifetime=lifetime, clock=clock
    )
    if inviter is not None:
        changes = {"email": email, "role": wanted.role, "group": wanted.group, "days": days}
        await audit.record(session, inviter, "invite", "AccountLink", token.partition("_")[0], changes, client=client)
    if mail.configured:
        await mail.within(session).send("accounts/mail/invitation", email, token=token, days=days)
    return Sent(email, f"/invitation?token={token}", mail.configured)


async def list_invitations(session: AsyncSession, clock: Clock) -> Sequence[AccountLink]:
    """Return the newest invitations that can be accepted."""
    waiting = col(AccountLink.purpose) == "invite", col(AccountLink.expires_at) > clock.now()
    statement = select(AccountLink).where(*waiting).order_by(col(AccountLink.created_at).desc()).limit(SHOWN)
    return (await session.exec(statement)).all()


async def revoke(session: AsyncSession, invitation: uuid.UUID) -> str:
    """End an invitation, and return its address. Raises InvitationMissing."""
    own = col(AccountLink.id) == invitation, col(AccountLink.purpose) == "invite"
    ended = (await session.exec(delete(AccountLink).where(*own).returning(col(AccountLink.email)))).first()
    if ended is None:
        raise InvitationMissing
    return str(ended.email)


async def find(session: AsyncSession, token: str, clock: Clock) -> Invitation:
    """Return what the link of an invitation grants. Raises LinkInvalid."""
    return _read(await find_link(session, "invite", token, clock=clock))


async def accept(
    session: AsyncSession, token: str, hashed: str, name: str | None, client: Client, clock: Clock
) -> User:
    """Create the account of an invitation, whose owner has the mail and so the address.

    Raises LinkInvalid, also if the one who sent it is no superuser any more, and EmailTaken.
    """
    invitation = _read(await use_link(session, "invite", token, clock=clock))
    if invitation.invited_by is not None:
        inviter = await session.get(User, uuid.UUID(invitation.invited_by))
        if inviter is None or not (inviter.is_active and inviter.is_superuser):
            raise LinkInvalid
    user = User(
        id=uuid.uuid4(),
        email=invitation.email,
        hashed_password=hashed,
        name=name,
        is_staff=invitation.role != "user",
        is_superuser=invitation.role == "superuser",
        group=invitation.group,
    )
    if not await add_if_missing(session, user):
        raise EmailTaken(hint="Sign in with it.")
    changes = {"role": invitation.role, "group": invitation.group, "invited_by": invitation.invited_by}
    await audit.record(session, user, "accept invitation", "User", user.id, changes, client=client)
    return user


def _read(link: AccountLink) -> Invitation:
    return Invitation(**(link.details or {}))
