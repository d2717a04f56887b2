"""Accounts: find, list, create, change a password. The command line, seeds, admin and web pages all come here."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import NamedTuple

from sqlmodel import case, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database.upsert import insert
from fastopp.errors import Conflict, FastOppError, NotFound
from fastopp.features.accounts.lockout import account_subject, forget
from fastopp.features.accounts.models import DELETED_DOMAIN, User, fold_email
from fastopp.features.accounts.password_policy import hash_new_password

MOST_LISTED = 200  # accounts on one page
MAX_EMAIL = 254  # characters (RFC 5321, 4.5.3.1.3, less the angle brackets)


class InvalidEmail(FastOppError):
    """This is not an email address."""

    status = 422


class EmailTaken(Conflict):
    """There is already an account with this email address."""


class AccountMissing(NotFound):
    """There is no account with this email address."""


class AccountInactive(Conflict):
    """This account is deactivated."""

    hint = "Activate it first."


def check_email(email: str) -> str:
    """The address as it is stored: the local part as typed, the domain in lower case. Raises InvalidEmail."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - 51 ms that sign-ins do not need

    try:
        # Whether mail arrives there is not asked: it would need the network.
        return validate_email(email.strip(), check_deliverability=False).normalized
    except EmailNotValidError as error:
        raise InvalidEmail(hint=str(error)) from None


async def find_user(session: AsyncSession, email: str) -> User | None:
    """The account of an email address in any letter case; the exact spelling first, should there be two. One query."""
    typed, folded = email.strip(), fold_email(email)
    if len(typed) > MAX_EMAIL or not typed.isprintable():
        return None
    exact = col(User.email) == typed
    # The index of lower(email) is asked in the same way for known and unknown addresses, so the time reveals nothing.
    statement = (
        select(User)
        .where(or_(exact, func.lower(User.email).in_((func.lower(typed), folded))))
        .order_by(case((exact, 0), else_=1), col(User.email))
    )
    # The database only proposes: its lower() may equate addresses that are two accounts here.
    proposed = (await session.exec(statement)).all()
    return next((user for user in proposed if fold_email(user.email) == folded), None)


async def get_user(session: AsyncSession, email: str) -> User:
    """As `find_user`, but raises AccountMissing."""
    user = await find_user(session, email)
    if user is None:
        raise AccountMissing
    return user


class Listing(NamedTuple):
    """The accounts that a page lists."""

    users: Sequence[User]
    complete: bool = True
    """Whether these are all; otherwise they are those with rights."""


async def list_users(session: AsyncSession, *, limit: int | None = None) -> Sequence[User]:
    """Every account or so many, by email address; not those that only keep the records of deleted ones."""
    there = col(User.email).not_like(f"%@{DELETED_DOMAIN}")
    return (await session.exec(select(User).where(there).order_by(func.lower(User.email)).limit(limit))).all()


async def list_for_page(session: AsyncSession) -> Listing:
    """Every account; where there are more than MOST_LISTED, superusers and staff."""
    users = await list_users(session, limit=MOST_LISTED + 1)
    if len(users) <= MOST_LISTED:
        return Listing(users)
    powerful: dict[uuid.UUID, User] = {}
    for right in (User.is_superuser, User.is_staff):
        some = select(User).where(col(right).is_(True)).order_by(col(User.email)).limit(MOST_LISTED)
        powerful |= {user.id: user for user in (await session.exec(some)).all()}
    return Listing(sorted([*powerful.values()][:MOST_LISTED], key=lambda user: user.email.lower()), complete=False)


async def superuser_exists(session: AsyncSession) -> bool:
    """Return whether any superuser is there."""
    statement = select(User.id).where(col(User.is_superuser).is_(other=True)).limit(1)
    return (await session.exec(statement)).first() is not None


async def create_user(
    session: AsyncSession,
    *,
    email: str,
    password: str,
    is_superuser: bool = False,
    is_staff: bool = False,
    is_active: bool = True,
    group: str | None = None,
    name: str | None = None,
) -> User:
    """Add an account; the session's transaction keeps it.

    Raises
    ------
    InvalidEmail, PasswordRejected: say what is wrong with them.
    EmailTaken: in any letter case.
    """
    user = User(
        email=check_email(email),
        # Hashed before the first query, so that no connection waits for it.
        hashed_password=await hash_new_password(password, email, name),
        is_superuser=is_superuser,
        is_staff=is_staff,
        is_active=is_active,
        group=group,
        name=name,
    )
    if not await add_if_missing(session, user):
        raise EmailTaken
    return user


async def add_if_missing(session: AsyncSession, user: User) -> bool:
    """Insert a prepared row unless its email address is taken, also by a concurrent request.

    Returns whether it was inserted. `user` itself stays detached. For seeds, which hash a shared password once.
    """
    if await find_user(session, user.email) is not None:
        return False
    statement = insert(session, User).values(**user.model_dump()).on_conflict_do_nothing(index_elements=["email"])
    added: uuid.UUID | None = (await session.exec(statement.returning(col(User.id)))).scalar_one_or_none()
    return added is not None


async def change_password(session: AsyncSession, *, email: str, password: str) -> User:
    """Set a new password, which ends every session and API token, and any lock of the account.

    Raises PasswordRejected, AccountMissing, AccountInactive.
    """
    hashed = await hash_new_password(password, email)
    user = await get_user(session, email)
    if not user.is_active:
        raise AccountInactive
    user.hashed_password = hashed
    session.add(user)
    await session.flush()
    await forget(session, account_subject(user.email))
    return user
