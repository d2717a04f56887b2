"""/login/second-factor: after the right password, the code, or setting a second factor up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from fastopp.core.dependencies import RuntimeDep
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.factors import mail_of
from fastopp.features.accounts.landing import page_after_sign_in
from fastopp.features.accounts.sessions import begin_session
from fastopp.features.accounts.sign_in_steps import complete_sign_in, find_pending
from fastopp.features.second_factor.changing import AlreadySetUp, FirstCodeWrong, set_up
from fastopp.features.second_factor.checking import check_code
from fastopp.features.second_factor.pages import MAX_CODE, pending_secret, show_codes, show_set_up
from fastopp.features.second_factor.sign_in_step import CODE_PAGE, SET_UP_PAGE, page_for
from fastopp.web.answers import NO_STORE
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

router = APIRouter(prefix=CODE_PAGE, tags=["accounts"], include_in_schema=False)

Code = Annotated[CleanText, Form(max_length=MAX_CODE)]


@router.get("")
async def show_step(request: Request, runtime: RuntimeDep) -> Response:
    """The form for a code."""
    if await find_pending(request, runtime) is None:
        return _redirect("/login")
    return _form(request)


@router.post("")
async def use_code(request: Request, runtime: RuntimeDep, code: Code = "") -> Response:
    """Sign in with a code of the app, or with a recovery code."""
    pending = await find_pending(request, runtime)
    if pending is None:
        return _redirect("/login")
    try:
        await check_code(runtime, pending.user, code, client_of(request), request)
    except Unavailable:
        raise
    except FastOppError as error:
        return _form(request, error.status, str(error), error.headers)
    return await complete_sign_in(request, pending.user, pending.next_page, runtime, proven=True)


@router.get("/set-up")
async def show_first_set_up(request: Request, runtime: RuntimeDep) -> Response:
    """The QR code, for an account that needs a second factor and has none."""
    pending = await find_pending(request, runtime)
    if pending is None or await page_for(runtime, pending.user) != SET_UP_PAGE:
        return _redirect("/login")
    return show_set_up(request, runtime, pending.user, SET_UP_PAGE)


@router.post("/set-up")
async def set_up_and_sign_in(request: Request, runtime: RuntimeDep, code: Code = "") -> Response:
    """Confirm the app by its first code, sign in, and show the recovery codes."""
    pending = await find_pending(request, runtime)
    if pending is None:
        return _redirect("/login")
    user, client = pending.user, client_of(request)
    secret = pending_secret(request, runtime, user)
    if secret is None or await page_for(runtime, user) != SET_UP_PAGE:
        return _redirect("/login")
    try:
        async with runtime.database.transaction() as session:
            mail = mail_of(request, runtime, session)
            codes = await set_up(session, runtime, user, secret, code, client, mail)
    except FirstCodeWrong as error:
        return show_set_up(request, runtime, user, SET_UP_PAGE, error=str(error), status_code=error.status)
    except AlreadySetUp:
        return _redirect("/login")
    signed_in = Response()
    await begin_session(request, signed_in, user, runtime)
    request.state.user = user
    page = show_codes(request, codes, page_after_sign_in(user, request, pending.next_page))
    page.raw_headers += [header for header in signed_in.raw_headers if header[0] == b"set-cookie"]
    return page


def _form(
    request: Request, status_code: int = 200, error: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    context = {"error": error}
    sent = NO_STORE | dict(headers or {})
    return render(request, "second_factor/step.html", context, status_code=status_code, headers=sent)


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303, headers=NO_STORE)
