"""API tokens: named secrets for programs, with scopes. Only a digest is stored, so a token is shown once.

A token is `fastopp_<id>_<secret>`. The secret has 256 random bits, so that a plain SHA-256 protects it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, get_args

from pydantic import BaseModel
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import BadRequest, Conflict, Forbidden
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.models import User, UserSession
from fastopp.features.accounts.user_sessions import add_session
from fastopp.web.languages import Message

Scope = Literal["read", "write", "operations"]
"""`read`: GET and HEAD; `write`: any method; `operations`: operations, if the account is a superuser."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
MAX_TOKENS = 50  # of an account
SECRET_BYTES = 32

_FORM = re.compile(r"fastopp_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")


class TokenRead(BaseModel):
    """An API token, without its secret."""

    id: uuid.UUID
    name: str | None
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


class TooManyTokens(Conflict):
    """This account has too many API tokens."""

    hint = "Revoke one that is not used any more."


class ScopeRefused(BadRequest):
    """The token would have no such right."""


class ScopeMissing(Forbidden):
    """The API token does not have the scope for this request."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(hint=f"Use a token with the scope `{scope}`.")
        self.headers = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}


class APIToken(NamedTuple):
    """The two parts of a token, the secret as its digest."""

    session_id: uuid.UUID
    digest: str

    def fits(self, row: UserSession) -> bool:
        """Whether the row is this token's."""
        return row.secret_digest is not None and hmac.compare_digest(self.digest, row.secret_digest)


class NewToken(NamedTuple):
    """A token that was just created: its row, and the text that is shown once."""

    row: UserSession
    text: str


def read_api_token(text: str) -> APIToken | None:
    """Return the parts of a text that has a token's form."""
    found = _FORM.fullmatch(text)
    return APIToken(uuid.UUID(found[1]), _digest(found[2])) if found else None


async def create_api_token(
    session: AsyncSession,
    user: User,
    name: str,
    scopes: Collection[Scope],
    client: Client,
    *,
    lifetime: timedelta | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> NewToken:
    """Add a token to an account.

    Raises ScopeRefused, TooManyTokens, and AccountChanged when the account was changed since `user` was read.
    """
    if not scopes:
        raise ScopeRefused(
            Message("A token needs a scope."), hint=Message("Scopes are %(scopes)s.", scopes=", ".join(SCOPES))
        )
    if "operations" in scopes and not user.is_superuser:
        raise ScopeRefused(
            Message("Only a superuser's token can have the scope `operations`."), hint=Message("Leave it out.")
        )
    row = await add_session(session, user, "token", client, lifetime=lifetime, clock=clock)
    secret = secrets.token_urlsafe(SECRET_BYTES)
    row.name = name
    row.scopes = " ".join(scope for scope in SCOPES if scope in scopes)
    row.secret_digest = _digest(secret)
    await session.flush()
    same = col(UserSession.user_id) == user.id, col(UserSession.kind) == "token"
    if (await session.exec(select(func.count()).select_from(UserSession).where(*same))).one() > MAX_TOKENS:
        raise TooManyTokens  # which rolls the row back
    changes = {"name": name, "scopes": row.scopes}
    await audit.record(session, user, "create token", "UserSession", row.id, changes, client=client)
    return NewToken(row, f"fastopp_{row.id.hex}_{secret}")


def check_scope(row: UserSession | None, wanted: Scope) -> None:
    """Raise ScopeMissing unless the session is an API token with this scope, or no API token."""
    if row is None or row.kind != "token":
        return
    scopes = (row.scopes or "").split()
    if wanted not in scopes and not (wanted == "read" and "write" in scopes):
        raise ScopeMissing(wanted)


def describe_token(row: UserSession) -> TokenRead:
    """Return an API token without its secret."""
    scopes = (row.scopes or "").split()
    return TokenRead(**row.model_dump(exclude={"scopes"}), scopes=scopes, last_used_at=row.last_seen_at)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
