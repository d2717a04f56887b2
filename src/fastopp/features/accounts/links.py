"""Links that are mailed: confirm an address, reset a password, accept an invitation. Each is good for one use.

A link's token is `<id>_<secret>`. The secret has 256 random bits, and only its SHA-256 is stored. Opening a link
changes nothing, since mail scanners open them too: its page has a form, and `use_link` is for what the form sends.

An account's links end with its password, its email address, or its deactivation; see `models`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from sqlmodel import col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import FastOppError
from fastopp.features.accounts.models import AccountLink, User

Purpose = Literal["confirm", "change email", "restore email", "reset password", "invite", "confirm identity"]

MAX_LINKS = 5  # of one account or address for one purpose; the oldest end
SECRET_BYTES = 32
PRUNED_AT_ONCE = 500  # expired rows that one statement of clean-up removes

_FORM = re.compile(r"([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


class LinkInvalid(FastOppError):
    """This link is not valid any more."""

    status = 410
    hint = "It has expired or was used already. Request a new one."


class _Token(NamedTuple):
    link_id: uuid.UUID
    digest: str


async def create_link(
    session: AsyncSession,
    purpose: Purpose,
    *,
    user: User | None = None,
    email: str | None = None,
    details: dict[str, Any] | None = None,
    lifetime: timedelta,
    clock: Clock = SYSTEM_CLOCK,
) -> str:
    """Add a link, and return its token, which is stored nowhere.

    Parameters
    ----------
    user: the account that it is for, if there is one.
    email: the address that it is for, if it is not the account's.
    details: what the use of the link needs to know.
    """
    link_id, secret = uuid.uuid4(), secrets.token_urlsafe(SECRET_BYTES)
    moment = clock.now()
    user_id = None if user is None else user.id
    await _make_room(session, purpose, user_id, email, moment)
    session.add(
        AccountLink(
            id=link_id,
            purpose=purpose,
            user_id=user_id,
            email=email,
            details=details,
            digest=_digest(secret),
            created_at=moment,
            expires_at=moment + lifetime,
        )
    )
    await session.flush()
    return f"{link_id.hex}_{secret}"


async def find_link(session: AsyncSession, purpose: Purpose, token: str, *, clock: Clock = SYSTEM_CLOCK) -> AccountLink:
    """Return the valid link of a token, for a page that shows what it is for. Raises LinkInvalid."""
    read = _read(token)
    found = None if read is None else await session.get(AccountLink, read.link_id)
    if read is None or found is None or not _is_valid(found, purpose, read.digest, clock.now()):
        raise LinkInvalid
    return found


async def use_link(session: AsyncSession, purpose: Purpose, token: str, *, clock: Clock = SYSTEM_CLOCK) -> AccountLink:
    """Return the valid link of a token, and end it: of any number of simultaneous uses one succeeds.

    It ends with the session's transaction; if that is rolled back, the link can be used again. Raises LinkInvalid.
    """
    found = await find_link(session, purpose, token, clock=clock)
    ended = await session.exec(delete(AccountLink).where(col(AccountLink.id) == found.id))
    if ended.rowcount == 0:
        raise LinkInvalid
    session.expunge(found)
    return found


async def end_links(session: AsyncSession, purpose: Purpose, user: User) -> None:
    """End every link of an account for a purpose."""
    statement = delete(AccountLink).where(col(AccountLink.user_id) == user.id, col(AccountLink.purpose) == purpose)
    await session.exec(statement)


async def remove_expired(session: AsyncSession, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Remove some of the links that have expired: how many; 0 when there are none left."""
    expired = select(AccountLink.id).where(col(AccountLink.expires_at) <= clock.now()).limit(PRUNED_AT_ONCE)
    statement = delete(AccountLink).where(col(AccountLink.id).in_(expired.with_for_update(skip_locked=True)))
    removed: int = (await session.exec(statement)).rowcount
    return removed


async def _make_room(
    session: AsyncSession, purpose: Purpose, user_id: uuid.UUID | None, email: str | None, moment: datetime
) -> None:
    same = [
        col(AccountLink.purpose) == purpose,
        col(AccountLink.user_id) == user_id if user_id is not None else col(AccountLink.email) == email,
    ]
    newest_first = col(AccountLink.created_at).desc(), col(AccountLink.id)
    beyond = select(AccountLink.id).where(*same).order_by(*newest_first).offset(MAX_LINKS - 1)
    await session.exec(delete(AccountLink).where(*same, col(AccountLink.id).in_(beyond)))


def _is_valid(link: AccountLink, purpose: Purpose, digest: str, moment: datetime) -> bool:
    return hmac.compare_digest(link.digest, digest) and link.purpose == purpose and link.expires_at > moment


def _read(token: str) -> _Token | None:
    found = _FORM.fullmatch(token)
    return _Token(uuid.UUID(found[1]), _digest(found[2])) if found else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
