"""/account/second-factor: set it up, make new recovery codes, remove it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import CurrentUser
from fastopp.features.accounts.devices import read_device
from fastopp.features.accounts.factors import is_required_of, mail_of
from fastopp.features.accounts.fresh import DetachedFreshUser, DetachedUser, FreshRoute, FreshUser
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import MAX_PASSWORD
from fastopp.features.accounts.sessions import forget_cookies
from fastopp.features.accounts.sign_in import sign_in
from fastopp.features.accounts.user_sessions import revoke_all
from fastopp.features.second_factor.changing import (
    FirstCodeWrong,
    count_recovery_codes,
    remove,
    renew_recovery_codes,
    set_up,
)
from fastopp.features.second_factor.checking import check_code
from fastopp.features.second_factor.models import SecondFactor
from fastopp.features.second_factor.pages import KEY, MAX_CODE, pending_secret, show_codes, show_set_up
from fastopp.web.answers import NO_STORE
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

PAGE = "/account/second-factor"
SET_UP_PAGE = f"{PAGE}/set-up"

router = APIRouter(prefix=PAGE, tags=["account"], include_in_schema=False, route_class=FreshRoute)

Code = Annotated[CleanText, Form(max_length=MAX_CODE)]
Password = Annotated[CleanText, Form(max_length=MAX_PASSWORD)]


@router.get("")
async def show(request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: CurrentUser) -> Response:
    """Whether there is a second factor, and what can be done with it."""
    return await _page(request, runtime, user)


@router.get("/set-up")
async def show_new(request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: FreshUser) -> Response:
    """The QR code of a new second factor."""
    if await session.get(SecondFactor, user.id) is not None:
        return _redirect(PAGE)
    return show_set_up(request, runtime, user, SET_UP_PAGE)


@router.post("/set-up")
async def confirm_new(request: Request, runtime: RuntimeDep, user: DetachedFreshUser, code: Code = "") -> Response:
    """Confirm the app by its first code, and show the recovery codes."""
    secret = pending_secret(request, runtime, user)
    if secret is None:
        return _redirect(SET_UP_PAGE)
    try:
        async with runtime.database.transaction() as session:
            mail = mail_of(request, runtime, session)
            codes = await set_up(session, runtime, user, secret, code, client_of(request), mail)
    except FirstCodeWrong as error:
        return show_set_up(request, runtime, user, SET_UP_PAGE, error=str(error), status_code=error.status)
    request.session.pop(KEY, None)
    return show_codes(request, codes, PAGE)


@router.post("/recovery-codes")
async def renew(request: Request, runtime: RuntimeDep, user: DetachedUser, code: Code = "") -> Response:
    """Show new recovery codes, for a code of the app."""
    try:
        await check_code(runtime, user, code, client_of(request), request)
    except Unavailable:
        raise
    except FastOppError as error:
        return await _page(request, runtime, user, error.status, {"renew_error": str(error)}, error.headers)
    async with runtime.database.transaction() as session:
        mail = mail_of(request, runtime, session)
        codes = await renew_recovery_codes(session, user, client_of(request), mail, clock=runtime.clock)
    return show_codes(request, codes, PAGE)


@router.post("/remove")
async def remove_own(
    request: Request, runtime: RuntimeDep, user: DetachedUser, password: Password = "", code: Code = ""
) -> Response:
    """Remove the second factor, for the password and a code. Who needs one is signed out everywhere."""
    client = client_of(request)
    try:
        await sign_in(
            runtime.database,
            email=user.email,
            password=password,
            client=client,
            settings=runtime.settings,
            device=read_device(request, runtime.settings),
            clock=runtime.clock,
        )
        await check_code(runtime, user, code, client, request)
    except Unavailable:
        raise
    except FastOppError as error:
        return await _page(request, runtime, user, error.status, {"remove_error": str(error)}, error.headers)
    needed = is_required_of(user, runtime.settings)
    async with runtime.database.transaction() as session:
        await remove(session, user, client, mail_of(request, runtime, session))
        if needed:
            await revoke_all(session, user, client, clock=runtime.clock)
    response = _redirect("/login" if needed else PAGE)
    if needed:
        forget_cookies(request, response)
    return response


async def _page(
    request: Request,
    runtime: Runtime,
    user: User,
    status_code: int = 200,
    errors: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    async with runtime.database.read() as session:
        factor = await session.get(SecondFactor, user.id)
        left = 0 if factor is None else await count_recovery_codes(session, user)
        if factor is not None:
            session.expunge(factor)
    context = {
        "factor": factor,
        "codes_left": left,
        "required": is_required_of(user, runtime.settings),
        "renew_error": "",
        "remove_error": "",
    }
    sent = NO_STORE | dict(headers or {})
    shown = context | dict(errors or {})
    return render(request, "second_factor/account.html", shown, status_code=status_code, headers=sent)


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, 303, headers=NO_STORE)
