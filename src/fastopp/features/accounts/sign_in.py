"""Signing in: who may, what stands in the way, and what is counted.

It uses separate short sessions instead of the request's: no connection is held while a password is hashed,
and a failure stays counted although the request fails.
"""

from __future__ import annotations

import uuid

from anyio import CapacityLimiter, move_on_after
from anyio.lowlevel import RunVar
from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.session import Database
from fastopp.errors import Forbidden, Unauthorized, Unavailable
from fastopp.features.accounts.audit import record_refusal
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.devices import Device
from fastopp.features.accounts.lockout import (
    Subject,
    TooManyAttempts,
    account_subject,
    address_subject,
    device_subject,
    forget,
    read_standing,
    record_failure,
)
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import CONCURRENT_HASHES, Verification, verify_nobody, verify_password
from fastopp.features.accounts.service import find_user
from fastopp.features.accounts.settings import AccountSettings
from fastopp.settings import Settings

# Guesses sent all at once pass the check for a lock together, so only this many are worked at a time, from the
# check to the count. More would gain nothing: each computes a hash.
CONCURRENT_SIGN_INS = CONCURRENT_HASHES
LONGEST_WAIT = 20  # seconds in that queue before a sign-in is refused

_limiter: RunVar[CapacityLimiter] = RunVar("fastopp_sign_ins")


class SignInFailed(Unauthorized):
    """The email address or the password is wrong."""


class SignInInactive(Forbidden):
    """This account is deactivated."""

    hint = "Ask an administrator to activate it."


class SignInNotStaff(Forbidden):
    """This account may not sign in here."""

    hint = "Only staff and superusers can; ask an administrator."


class SignInsQueued(Unavailable):
    """Too many people are signing in at this moment."""

    hint = "Try again in a few seconds."


class SignInUnconfirmed(Forbidden):
    """The email address of this account is not confirmed."""

    hint = "Choose “Forgot your password?”: the link that you get confirms it."


def may_sign_in(user: User, settings: Settings | None = None) -> bool:
    """Return whether an account may sign in; see `check_may_sign_in`."""
    try:
        check_may_sign_in(user, settings)
    except Forbidden:
        return False
    return True


def check_may_sign_in(user: User, settings: Settings | None = None) -> None:
    """Raise SignInInactive, SignInNotStaff or SignInUnconfirmed for an account that may not sign in.

    Active staff and superusers always may. Given the settings, other active accounts may too if SIGN_UP is not closed,
    once their address is confirmed, if the site has mail. Without settings only staff may, as in the admin panel.
    """
    if not user.is_active:
        raise SignInInactive
    if user.is_staff or user.is_superuser:
        return
    if settings is None or settings.of(AccountSettings).sign_up == "closed":
        raise SignInNotStaff
    if not user.email_confirmed and settings.mail is not None:
        raise SignInUnconfirmed


async def sign_in(
    database: Database,
    *,
    email: str,
    password: str,
    client: Client,
    settings: Settings | None = None,
    device: Device | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> User:
    """Return the user of this email address and password.

    An outdated hash is replaced. Failures are counted for the account and for the address, or for `device` alone if
    it has signed in to this account before. A success clears the account's or the device's, but not the address's,
    which would let the owner of one account guess at others without end.

    Raises
    ------
    SignInFailed: unknown account or wrong password, in the same words and about the same time.
    SignInInactive, SignInNotStaff, SignInUnconfirmed: only after the right password.
    TooManyAttempts: account, address or device is locked; the password was not looked at.
    PasswordRejected: too long for a password.
    DatabaseUnavailable, SignInsQueued: nothing was found out.
    """
    limiter = _sign_ins()
    with move_on_after(LONGEST_WAIT) as waiting:
        await limiter.acquire()
    if waiting.cancelled_caught:
        raise SignInsQueued
    try:
        user = await _attempt(database, email, password, client, device, clock)
    finally:
        limiter.release()
    check_may_sign_in(user, settings)
    return user


async def _attempt(
    database: Database, email: str, password: str, client: Client, device: Device | None, clock: Clock
) -> User:
    async with database.read() as session:
        user = await find_user(session, email)
        own, *others = _counted(user, email, client.address, device)
        standing = await read_standing(session, own, *others, clock=clock)
    if standing.locked_for:
        raise TooManyAttempts(standing.locked_for)
    if user is None:
        await verify_nobody(password)
        verification = Verification(matches=False)
    else:
        verification = await verify_password(password, user.hashed_password)
    if user is None or not verification.matches:
        async with database.transaction() as session:
            await record_failure(session, own, *others, clock=clock)
            await record_refusal(session, user.id if user else uuid.uuid4(), client, clock=clock)
        raise SignInFailed
    if verification.replacement or own.name in standing.failed:
        async with database.transaction() as session:
            await forget(session, own)
            current = await _store_hash(session, user, verification.replacement)
        if not current:
            # Another sign-in replaced the hash in the same moment, or the password was changed: look again.
            return await _attempt(database, email, password, client, device, clock)
    return user


def _counted(user: User | None, email: str, address: str, device: Device | None) -> tuple[Subject, ...]:
    """Return what a failure is counted for: the account that was found, however its address was typed."""
    if user is not None and device is not None and device.user_id == user.id:
        return (device_subject(device.name),)
    return account_subject(email if user is None else user.email), address_subject(address)


async def _store_hash(session: AsyncSession, user: User, replacement: str | None) -> bool:
    """Replace the hash that was verified, and only that one. Returns whether it was still there."""
    if replacement is None:
        return True
    unchanged = (col(User.id) == user.id, col(User.hashed_password) == user.hashed_password)
    replaced = await session.exec(update(User).where(*unchanged).values(hashed_password=replacement))
    if replaced.rowcount == 0:
        return False
    user.hashed_password = replacement
    return True


def _sign_ins() -> CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(CONCURRENT_SIGN_INS)
        _limiter.set(limiter)
        return limiter
