"""Emergency access: a way in where there is no shell and no superuser left who knows their password.

It exists only while EMERGENCY_ACCESS_ENABLED is true. A client with the emergency token, which is derived from
SECRET_KEY and printed by `oppman.py emergency`, may reset passwords and create a superuser for a quarter of an hour.
It grants nothing else: the dashboards and /admin still ask for a sign-in.

A grant is in the browser's signed session and on record in `sessions`, so that it can be ended: by signing out, and by
a superuser who signs out everywhere. Where the database is down or has no tables, the signed session counts alone.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.dependencies import RuntimeDep, SettingsDep, get_runtime
from fastopp.core.runtime import Runtime
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.database.session import Database
from fastopp.errors import Forbidden, NotFound
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.lockout import Subject, address_subject, record_failure, refuse_locked
from fastopp.features.accounts.models import User, UserSession
from fastopp.features.accounts.service import change_password, create_user
from fastopp.features.accounts.user_sessions import EMERGENCY_KEY, end_emergency
from fastopp.settings import Settings
from fastopp.web.doors import guarded_by

logger = logging.getLogger(__name__)

LIFETIME = 15 * 60  # seconds
ADDRESS_FAILURES = 5  # wrong tokens from one address before it is locked
PURPOSE = b"fastopp emergency access v1"

GRANTED = "emergency_access"
GRANTED_AT = "emergency_granted_at"


class Grant(NamedTuple):
    """Emergency access, which may not be on record where there is no table for it."""

    on_record: bool
    session_id: uuid.UUID
    """Of its row, where it is on record."""


class WrongEmergencyToken(Forbidden):
    """This is not the emergency token."""

    hint = "Run `python oppman.py emergency` with the same SECRET_KEY and copy what it prints."


class EmergencyNotGranted(Forbidden):
    """Emergency access is not granted, or its fifteen minutes are over."""

    hint = "Enter the emergency token at /oppman/emergency."


def emergency_token(settings: Settings) -> str:
    """The token that opens emergency access: derived from SECRET_KEY, which it does not reveal."""
    digest = hmac.digest(settings.secret_key.get_secret_value().encode(), PURPOSE, hashlib.sha256)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


async def verify_emergency_token(
    database: Database, settings: Settings, token: str, address: str, *, clock: Clock = SYSTEM_CLOCK
) -> None:
    """Accept the right token and count wrong ones.

    There is no lock over all addresses: 256 bits are not guessed from many of them either, and with such a
    lock any client could lock the owner out. Where the database is down or has no tables yet nothing
    is counted, since this door leads to the repair. Raises WrongEmergencyToken, TooManyAttempts.
    """
    subject = _subject(address)
    with _uncounted_without_tables():
        async with database.read() as session:
            await refuse_locked(session, subject, clock=clock)
    given = token.strip().encode(errors="surrogatepass")
    if hmac.compare_digest(given, emergency_token(settings).encode()):
        logger.warning("Emergency access granted", extra={"action": "emergency_granted", "address": address})
        return
    with _uncounted_without_tables():
        async with database.transaction() as session:
            await record_failure(session, subject, clock=clock)
    logger.warning("Wrong emergency token", extra={"action": "emergency_refused", "address": address})
    raise WrongEmergencyToken


async def grant(request: Request, runtime: Runtime) -> None:
    """Grant emergency access from now on: in the browser's signed session, and on record."""
    request.session[GRANTED] = True
    request.session[GRANTED_AT] = str(int(runtime.clock.time()))
    request.session[EMERGENCY_KEY] = str(uuid.uuid4())
    await put_on_record(request, runtime)


async def revoke(request: Request, runtime: Runtime) -> None:
    """Take it back."""
    with _uncounted_without_tables():
        await end_emergency(runtime.database, request.session)
    request.session.pop(GRANTED, None)
    request.session.pop(GRANTED_AT, None)


async def put_on_record(request: Request, runtime: Runtime) -> None:
    """Record the browser's grant, if there is a table for it."""
    moment = datetime.fromtimestamp(int(request.session[GRANTED_AT]), UTC)
    client = client_of(request)
    row = UserSession(
        id=uuid.UUID(request.session[EMERGENCY_KEY]),
        kind="emergency",
        created_at=moment,
        expires_at=moment + timedelta(seconds=LIFETIME),
        address=client.address,
        user_agent=client.user_agent,
    )
    with _uncounted_without_tables():
        async with runtime.database.transaction() as session:
            await session.merge(row)


async def read_grant(request: Request, runtime: Runtime) -> Grant | None:
    """Return the grant that the browser holds, and that has not been ended."""
    if not is_granted(request.session, clock=runtime.clock):
        return None
    try:
        id_ = uuid.UUID(request.session[EMERGENCY_KEY])
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    try:
        async with runtime.database.read() as session:
            row = await session.get(UserSession, id_)
    except (DatabaseUnavailable, TablesMissing):
        return Grant(on_record=False, session_id=id_)
    return None if row is None else Grant(on_record=True, session_id=id_)


def is_granted(session: dict[str, Any], *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Whether the signed session holds a grant that is not yet fifteen minutes old; it may have been ended."""
    try:
        age = clock.time() - float(session[GRANTED_AT])
    except (KeyError, TypeError, ValueError):
        return False
    return session.get(GRANTED) is True and 0 <= age < LIFETIME


async def create_superuser(session: AsyncSession, *, email: str, password: str) -> User:
    """An active superuser who is staff, in group `admin`. Raises InvalidEmail, PasswordRejected, EmailTaken."""
    user = await create_user(session, email=email, password=password, is_superuser=True, is_staff=True, group="admin")
    logger.warning("Superuser created by emergency access", extra={"action": "emergency_superuser"})
    return user


async def reset_password(session: AsyncSession, *, email: str, password: str) -> User:
    """A new password for an active account. Raises PasswordRejected, AccountMissing, AccountInactive."""
    user = await change_password(session, email=email, password=password)
    logger.warning("Password reset by emergency access", extra={"action": "emergency_reset"})
    return user


async def _granted_door(request: Request) -> None:
    runtime = get_runtime(request)
    await require_enabled(runtime.settings)
    await require_granted(request, runtime, None)


async def require_enabled(settings: SettingsDep) -> None:
    """Dependency: every emergency address is a plain 404 unless EMERGENCY_ACCESS_ENABLED is true."""
    if not settings.emergency_access_enabled:
        raise NotFound


@guarded_by(_granted_door)
async def require_granted(request: Request, runtime: RuntimeDep, enabled: EmergencyEnabled) -> Grant:
    """Dependency: raises NotFound when disabled, EmergencyNotGranted without a fresh grant in the session."""
    found = await read_grant(request, runtime)
    if found is None:
        raise EmergencyNotGranted
    return found


EmergencyEnabled = Annotated[None, Depends(require_enabled)]
EmergencySession = Annotated[Grant, Depends(require_granted)]


def _subject(address: str) -> Subject:
    return address_subject(address, purpose="emergency", limit=ADDRESS_FAILURES)


@contextmanager
def _uncounted_without_tables() -> Iterator[None]:
    try:
        yield
    except (DatabaseUnavailable, TablesMissing) as error:
        logger.warning("Emergency attempts cannot be counted: %s", type(error).__name__)
