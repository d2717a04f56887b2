"""/login, /logout, /protected, and /api/token for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BaseModel
from starlette import status

from fastopp.core.dependencies import RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import OptionalUser, StaffUser
from fastopp.features.accounts.devices import read_device
from fastopp.features.accounts.landing import page_after_sign_in, safe_next
from fastopp.features.accounts.sessions import end_session, open_session
from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.accounts.sign_in import may_sign_in, sign_in
from fastopp.features.accounts.sign_in_page import find_sign_in_options
from fastopp.features.accounts.sign_in_steps import check_program, complete_sign_in
from fastopp.features.accounts.tokens import token_lifetime
from fastopp.web.answers import NO_STORE
from fastopp.web.api_docs import problems
from fastopp.web.forms import CleanText
from fastopp.web.languages import Message
from fastopp.web.middleware.csrf import CrossSiteRequest, is_cross_site
from fastopp.web.templating import render

router = APIRouter(tags=["accounts"])

MAX_CODE = 64  # characters
NOTHING_TYPED = Message("Enter your email address and your password.")


class Token(BaseModel):
    """A sign-in token; `expires_in` is in seconds (RFC 6749, 5.1)."""

    access_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the name of the scheme
    expires_in: int


@router.get("/login", include_in_schema=False)
async def show_login(
    request: Request, runtime: RuntimeDep, user: OptionalUser, next_page: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """The sign-in form; signed-in users are redirected."""
    if user is not None and may_sign_in(user, runtime.settings):
        return _redirect(page_after_sign_in(user, request, next_page))
    return _form(request, runtime, next_page=next_page)


@router.post("/login", include_in_schema=False)
async def login(
    request: Request,
    runtime: RuntimeDep,
    username: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next_page: Annotated[str, Form(alias="next")] = "",
) -> Response:
    """Sign in and go to `next`, or show the form again with the reason why not."""
    if not username.strip() or not password:
        return _form(request, runtime, status.HTTP_422_UNPROCESSABLE_CONTENT, NOTHING_TYPED, username, next_page)
    try:
        user = await sign_in(
            runtime.database,
            email=username,
            password=password,
            client=client_of(request),
            settings=runtime.settings,
            device=read_device(request, runtime.settings),
            clock=runtime.clock,
        )
        return await complete_sign_in(request, user, next_page, runtime)
    except Unavailable:
        raise  # says nothing about the password, so it is answered by the page that says what is the matter
    except FastOppError as error:
        return _form(request, runtime, error.status, error, username, next_page, error.headers)


@router.get("/logout", include_in_schema=False)
@router.post("/logout", include_in_schema=False)
async def logout(request: Request, runtime: RuntimeDep) -> Response:
    """Sign out and go home. A GET too, as links and bookmarks of FastOpp 0.4.8 expect; not from another site."""
    if is_cross_site(request.scope):
        raise CrossSiteRequest
    response = _redirect("/")
    await end_session(request, response, runtime)
    return response


@router.get("/protected", include_in_schema=False)
async def protected(request: Request, user: StaffUser) -> Response:
    """A page that only staff can see."""
    return render(request, "protected.html", headers=NO_STORE)


@router.post("/api/token", responses=problems(401, 403, 422, 429, 503))
async def create_token(
    request: Request,
    response: Response,
    runtime: RuntimeDep,
    username: Annotated[str, Form(description="Email address")],
    password: Annotated[str, Form()],
    otp: Annotated[CleanText, Form(max_length=MAX_CODE, description="Code of the second factor, if it has one")] = "",
) -> Token:
    """A token for programs, to be sent as `Authorization: Bearer <access_token>`; it sets no cookie."""
    user = await sign_in(
        runtime.database,
        email=username,
        password=password,
        client=client_of(request),
        settings=runtime.settings,
        clock=runtime.clock,
    )
    await check_program(request, user, otp, runtime)
    token = await open_session(request, user, "program", runtime)
    response.headers.update(NO_STORE)
    return Token(access_token=token, expires_in=int(token_lifetime(runtime.settings).total_seconds()))


def _form(
    request: Request,
    runtime: Runtime,
    status_code: int = status.HTTP_200_OK,
    error: str | FastOppError = "",
    email: str = "",
    next_page: str = "",
    headers: Mapping[str, str] | None = None,
) -> Response:
    context = {
        "error": error,
        "email": email,
        "next": safe_next(next_page, request) or "",
        "options": find_sign_in_options(runtime.apps, runtime.settings),
        "for_members": runtime.settings.of(AccountSettings).sign_up != "closed",
    }
    return render(request, "login.html", context, status_code=status_code, headers=NO_STORE | dict(headers or {}))


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, status.HTTP_302_FOUND, headers=NO_STORE)
