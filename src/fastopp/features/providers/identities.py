"""Identities in the database: found, linked and unlinked. Nothing here speaks to a provider."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import Clock
from fastopp.database.upsert import insert
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import has_password, unusable_hash
from fastopp.features.accounts.service import EmailTaken, add_if_missing, check_email
from fastopp.features.accounts.user_sessions import lock_account
from fastopp.features.providers.errors import IdentityMissing, IdentityTaken, LastWayIn
from fastopp.features.providers.identity import Identity
from fastopp.features.providers.models import ExternalIdentity


async def find_owner(session: AsyncSession, identity: Identity) -> User | None:
    """Return the account that an identity is linked to. One query."""
    statement = (
        select(User)
        .join(ExternalIdentity, col(ExternalIdentity.user_id) == col(User.id))
        .where(col(ExternalIdentity.provider) == identity.provider, col(ExternalIdentity.subject) == identity.subject)
    )
    return (await session.exec(statement)).first()


async def note_use(session: AsyncSession, identity: Identity, clock: Clock) -> None:
    """Write down that an identity was used, and the address that it has now."""
    same = col(ExternalIdentity.provider) == identity.provider, col(ExternalIdentity.subject) == identity.subject
    await session.exec(update(ExternalIdentity).where(*same).values(last_used_at=clock.now(), email=identity.email))


async def link(session: AsyncSession, user: User, identity: Identity, client: Client, clock: Clock) -> bool:
    """Link an identity to an account, and record it. Returns False if it was linked to this account before.

    Raises IdentityTaken when it is another account's, and AccountChanged when the account has got another password
    or is deactivated since `user` was read.
    """
    await lock_account(session, user)
    if not await _insert(session, user, identity, clock):
        owner = await find_owner(session, identity)
        if owner is None or owner.id != user.id:
            raise IdentityTaken
        return False
    changes = {"provider": identity.provider, "email": identity.email}
    await audit.record(session, user, "link identity", "User", user.id, changes, client=client)
    return True


async def sign_up(session: AsyncSession, identity: Identity, client: Client, clock: Clock) -> User:
    """Add an account with the identity's address, without a password.

    The caller has made sure that the address is the user's own. Raises InvalidEmail, EmailTaken, IdentityTaken; the
    caller's transaction must then be rolled back.
    """
    user = User(email=check_email(identity.email or ""), hashed_password=unusable_hash(), name=identity.name)
    if not await add_if_missing(session, user):
        raise EmailTaken
    if not await _insert(session, user, identity, clock):
        raise IdentityTaken  # by another request in the same moment
    changes = {"provider": identity.provider, "email": user.email}
    await audit.record(session, user, "sign up", "User", user.id, changes, client=client)
    return user


async def list_identities(session: AsyncSession, user_id: uuid.UUID) -> Sequence[ExternalIdentity]:
    """Return the identities of an account, the oldest first."""
    statement = select(ExternalIdentity).where(col(ExternalIdentity.user_id) == user_id)
    return (await session.exec(statement.order_by(col(ExternalIdentity.created_at), col(ExternalIdentity.id)))).all()


async def unlink(
    session: AsyncSession, user: User, identity_id: uuid.UUID, client: Client, *, offered: Collection[str]
) -> ExternalIdentity:
    """Remove an identity from an account, and record it.

    Parameters
    ----------
    offered: the keys of the providers that one can sign in with.

    Raises IdentityMissing, LastWayIn, and AccountChanged as `link` does.
    """
    await lock_account(session, user)  # of two removals at once the second sees the first
    own = col(ExternalIdentity.user_id) == user.id
    found = (await session.exec(select(ExternalIdentity).where(own, col(ExternalIdentity.id) == identity_id))).first()
    if found is None:
        raise IdentityMissing
    if not has_password(user.hashed_password):
        usable = own, col(ExternalIdentity.id) != identity_id, col(ExternalIdentity.provider).in_(offered)
        if (await session.exec(select(func.count()).select_from(ExternalIdentity).where(*usable))).one() == 0:
            raise LastWayIn
    await session.exec(delete(ExternalIdentity).where(col(ExternalIdentity.id) == identity_id))
    changes = {"provider": found.provider, "email": found.email}
    await audit.record(session, user, "unlink identity", "User", user.id, changes, client=client)
    return found


async def _insert(session: AsyncSession, user: User, identity: Identity, clock: Clock) -> bool:
    row = ExternalIdentity(
        provider=identity.provider,
        subject=identity.subject,
        user_id=user.id,
        email=identity.email,
        created_at=clock.now(),
        last_used_at=clock.now(),
    )
    statement = insert(session, ExternalIdentity).values(**row.model_dump())
    unless_there = statement.on_conflict_do_nothing(index_elements=["provider", "subject"])
    added = await session.exec(unless_there.returning(col(ExternalIdentity.id)))
    return added.scalar_one_or_none() is not None
