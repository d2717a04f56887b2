"""/account/sessions: the browsers and programs that are signed in. Pages for people, JSON for programs."""

from __future__ import annotations

import uuid
from datetime import datetime

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from fastopp.core.dependencies import ClockDep, PrimarySessionDep, RuntimeDep
from fastopp.features.account.pages import VARY, account_page, redirect
from fastopp.features.account.programs import Program, describe_program
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import CurrentUser, PresentUser, session_of
from fastopp.features.accounts.sessions import forget_cookies
from fastopp.features.accounts.user_sessions import SIGN_INS, list_sessions, revoke_all, revoke_session
from fastopp.web.answers import NO_STORE, prefers_html
from fastopp.web.api_docs import problems

PAGE = "/account/sessions"

router = APIRouter(tags=["account"], responses=problems(401, 403, 503))


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

    @property
    def program(self) -> Program:
        """For people."""
        return describe_program(self.user_agent)


@router.get(PAGE, summary="Your sessions", response_model=list[SessionRead])
async def sessions(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, clock: ClockDep, user: CurrentUser
) -> Response:
    """Browsers and programs that are signed in, the last used first."""
    own = session_of(request)
    rows = await list_sessions(session, user.id, SIGN_INS, clock=clock)
    listed = [SessionRead(**row.model_dump(), current=own is not None and row.id == own.id) for row in rows]
    if prefers_html(request):
        return account_page(request, runtime, "account/sessions.html", {"sessions": listed})
    return JSONResponse([row.model_dump(mode="json") for row in listed], headers=NO_STORE | VARY)


@router.delete(f"{PAGE}/{{session_id}}", status_code=204, responses=problems(404), summary="End a session")
async def end_one(request: Request, session: PrimarySessionDep, user: PresentUser, session_id: uuid.UUID) -> None:
    """Its cookies and tokens are refused from now on."""
    await revoke_session(session, user, session_id, client_of(request))


@router.post(f"{PAGE}/{{session_id}}/end", include_in_schema=False)
async def end_by_form(
    request: Request, session: PrimarySessionDep, user: PresentUser, session_id: uuid.UUID
) -> Response:
    """The same for a form. The session of this browser ends too, if it is chosen."""
    await revoke_session(session, user, session_id, client_of(request))
    own = session_of(request)
    if own is None or own.id != session_id:
        return redirect(f"{PAGE}?done=session")
    response = redirect("/login")
    forget_cookies(request, response)
    return response


@router.post("/account/sign-out-everywhere", status_code=204, summary="End every session and API token")
async def sign_out_everywhere(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: PresentUser
) -> Response:
    """This browser is signed out too."""
    await revoke_all(session, user, client_of(request), clock=runtime.clock)
    response = redirect("/login") if prefers_html(request) else Response(status_code=204)
    forget_cookies(request, response)
    return response
