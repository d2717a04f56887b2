"""/account: the sessions and the API tokens of the signed-in user, as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from fastopp.core.dependencies import ClockDep, RuntimeDep, SessionDep
from fastopp.features.accounts.api_tokens import Scope, create_api_token
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import CurrentUser, PresentUser, session_of
from fastopp.features.accounts.models import MAX_NAME, UserSession
from fastopp.features.accounts.sessions import forget_cookies
from fastopp.features.accounts.user_sessions import SIGN_INS, list_sessions, revoke_all, revoke_session
from fastopp.web.answers import NO_STORE
from fastopp.web.api_docs import problems
from fastopp.web.forms import CleanText

LONGEST_LIFETIME = 3660  # days

router = APIRouter(prefix="/account", tags=["account"], responses=problems(401, 403, 503))


class SessionRead(BaseModel):
    """A sign-in."""

    id: uuid.UUID
    kind: str
    current: bool
    created_at: datetime
    last_seen_at: datetime | None
    expires_at: datetime | None
    address: str | None
    user_agent: str | None


class TokenRead(BaseModel):
    """An API token, without its secret."""

    id: uuid.UUID
    name: str | None
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


class TokenCreate(BaseModel):
    """A new API token."""

    name: Annotated[CleanText, Field(min_length=1, max_length=MAX_NAME)]
    scopes: Annotated[set[Scope], Field(min_length=1)]
    expires_in_days: Annotated[int | None, Field(ge=1, le=LONGEST_LIFETIME)] = None


class TokenCreated(TokenRead):
    """An API token with its text, which is shown only now."""

    token: str


@router.get("/sessions", summary="Your sessions")
async def sessions(
    request: Request, response: Response, session: SessionDep, clock: ClockDep, user: CurrentUser
) -> list[SessionRead]:
    """Browsers and programs that are signed in, the last used first."""
    response.headers.update(NO_STORE)
    own = session_of(request)
    rows = await list_sessions(session, user.id, SIGN_INS, clock=clock)
    return [SessionRead(**row.model_dump(), current=own is not None and row.id == own.id) for row in rows]


@router.delete("/sessions/{session_id}", status_code=204, responses=problems(404), summary="End a session")
async def end_one(request: Request, session: SessionDep, user: PresentUser, session_id: uuid.UUID) -> None:
    """Its cookies and tokens are refused from now on."""
    await revoke_session(session, user, session_id, client_of(request))


@router.post("/sign-out-everywhere", status_code=204, summary="End every session and API token")
async def sign_out_everywhere(
    request: Request, response: Response, runtime: RuntimeDep, session: SessionDep, user: PresentUser
) -> None:
    """This browser is signed out too."""
    await revoke_all(session, user, client_of(request), clock=runtime.clock)
    forget_cookies(request, response)


@router.get("/tokens", summary="Your API tokens")
async def tokens(response: Response, session: SessionDep, clock: ClockDep, user: CurrentUser) -> list[TokenRead]:
    """Their secrets are not among them: they are not kept."""
    response.headers.update(NO_STORE)
    return [describe_token(row) for row in await list_sessions(session, user.id, ("token",), clock=clock)]


@router.post("/tokens", status_code=201, responses=problems(400, 409, 422), summary="Create an API token")
async def create_token(
    request: Request, response: Response, session: SessionDep, clock: ClockDep, user: PresentUser, wanted: TokenCreate
) -> TokenCreated:
    """Its text is in the answer, and nowhere later."""
    response.headers.update(NO_STORE)
    lifetime = None if wanted.expires_in_days is None else timedelta(days=wanted.expires_in_days)
    made = await create_api_token(
        session, user, wanted.name, wanted.scopes, client_of(request), lifetime=lifetime, clock=clock
    )
    return TokenCreated(**describe_token(made.row).model_dump(), token=made.text)


@router.delete("/tokens/{token_id}", status_code=204, responses=problems(404), summary="Revoke an API token")
async def revoke_token(request: Request, session: SessionDep, user: PresentUser, token_id: uuid.UUID) -> None:
    """It is refused from now on."""
    await revoke_session(session, user, token_id, client_of(request))


def describe_token(row: UserSession) -> TokenRead:
    """Return an API token without its secret."""
    scopes = (row.scopes or "").split()
    return TokenRead(**row.model_dump(exclude={"scopes"}), scopes=scopes, last_used_at=row.last_seen_at)
