"""/account/tokens: API tokens. Pages for people, JSON for programs."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.dependencies import ClockDep, PrimarySessionDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError
from fastopp.features.account.pages import VARY, account_page, redirect
from fastopp.features.accounts.api_tokens import (
    Scope,
    ScopeRefused,
    TokenRead,
    TooManyTokens,
    create_api_token,
    describe_token,
)
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import CurrentUser, PresentUser
from fastopp.features.accounts.fresh import FreshRoute, FreshUser, is_fresh
from fastopp.features.accounts.models import MAX_NAME, User
from fastopp.features.accounts.user_sessions import list_sessions, revoke_session
from fastopp.web.answers import NO_STORE, prefers_html
from fastopp.web.api_docs import problems
from fastopp.web.checked_form import CheckedForm, FormOf, Mistake
from fastopp.web.forms import CleanText
from fastopp.web.languages import Message

PAGE = "/account/tokens"
LONGEST_LIFETIME = 3660  # days

router = APIRouter(tags=["account"], responses=problems(401, 403, 503), route_class=FreshRoute)


class TokenCreate(BaseModel):
    """A new API token."""

    name: Annotated[CleanText, Field(min_length=1, max_length=MAX_NAME)]
    scopes: Annotated[set[Scope], Field(min_length=1)]
    expires_in_days: Annotated[int | None, Field(ge=1, le=LONGEST_LIFETIME)] = None


class TokenForm(BaseModel):
    """The same, as the page has it."""

    name: Annotated[CleanText, Field(max_length=MAX_NAME)]
    scopes: Annotated[list[Scope], Field(min_length=1), Mistake(Message("Choose one or more."))]
    expires_in_days: Annotated[int | None, Field(ge=1, le=LONGEST_LIFETIME)] = None


class TokenCreated(TokenRead):
    """An API token with its text, which is shown only now."""

    token: str


@router.get(PAGE, summary="Your API tokens", response_model=list[TokenRead])
async def tokens(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, clock: ClockDep, user: CurrentUser
) -> Response:
    """Their secrets are not among them: they are not kept."""
    if prefers_html(request):
        values: dict[str, Any] = {"scopes": ["read"], "expires_in_days": "90"}
        return await _page(request, runtime, session, user, CheckedForm(values))
    rows = await list_sessions(session, user.id, ("token",), clock=clock)
    return JSONResponse([describe_token(row).model_dump(mode="json") for row in rows], headers=NO_STORE | VARY)


@router.post(PAGE, status_code=201, responses=problems(400, 409, 422), summary="Create an API token")
async def create_token(
    request: Request,
    response: Response,
    session: PrimarySessionDep,
    clock: ClockDep,
    user: FreshUser,
    wanted: TokenCreate,
) -> TokenCreated:
    """Its text is in the answer, and nowhere later. The sign-in must be fresh."""
    response.headers.update(NO_STORE)
    lifetime = None if wanted.expires_in_days is None else timedelta(days=wanted.expires_in_days)
    made = await create_api_token(
        session, user, wanted.name, wanted.scopes, client_of(request), lifetime=lifetime, clock=clock
    )
    return TokenCreated(**describe_token(made.row).model_dump(), token=made.text)


@router.post(f"{PAGE}/new", include_in_schema=False)
async def create_by_form(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: FreshUser, form: FormOf[TokenForm]
) -> Response:
    """Show the token, this once, or the form again with its errors."""
    wanted = form.data
    if wanted is None:
        return await _page(request, runtime, session, user, form)
    lifetime = None if wanted.expires_in_days is None else timedelta(days=wanted.expires_in_days)
    try:
        async with session.begin_nested():
            made = await create_api_token(
                session, user, wanted.name, wanted.scopes, client_of(request), lifetime=lifetime, clock=runtime.clock
            )
    except (ScopeRefused, TooManyTokens) as error:
        return await _page(request, runtime, session, user, form, error)
    context = {"token": made.text, "row": describe_token(made.row)}
    return account_page(request, runtime, "account/token_created.html", context, status_code=201)


@router.get(f"{PAGE}/new", include_in_schema=False)
async def back_to_tokens(user: CurrentUser) -> Response:
    """Lead back from the page for the password, or from a reload, to the form."""
    return redirect(PAGE)


@router.delete(f"{PAGE}/{{token_id}}", status_code=204, responses=problems(404), summary="Revoke an API token")
async def revoke_token(request: Request, session: PrimarySessionDep, user: PresentUser, token_id: uuid.UUID) -> None:
    """It is refused from now on."""
    await revoke_session(session, user, token_id, client_of(request))


@router.post(f"{PAGE}/{{token_id}}/revoke", include_in_schema=False)
async def revoke_by_form(
    request: Request, session: PrimarySessionDep, user: PresentUser, token_id: uuid.UUID
) -> Response:
    """The same for a form."""
    await revoke_session(session, user, token_id, client_of(request))
    return redirect(f"{PAGE}?done=token")


async def _page(
    request: Request,
    runtime: Runtime,
    session: AsyncSession,
    user: User,
    form: CheckedForm[Any],
    error: FastOppError | None = None,
) -> Response:
    rows = await list_sessions(session, user.id, ("token",), clock=runtime.clock)
    context = {
        "tokens": [describe_token(row) for row in rows],
        "form": form,
        "fresh": is_fresh(request, runtime.clock),
        "may_operate": user.is_superuser,
        "error": error,
    }
    status = form.status_code if error is None else error.status
    return account_page(request, runtime, "account/tokens.html", context, status_code=status)
