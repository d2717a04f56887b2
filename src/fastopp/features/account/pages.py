"""The shared parts of the pages of /account: their frame, the notice of what was done, and the check of a password."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from fastopp.core.runtime import Runtime
from fastopp.features.account.deletion import NO_PASSWORD
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.devices import read_device
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import PasswordRejected
from fastopp.features.accounts.sign_in import SignInFailed, sign_in
from fastopp.features.mail.service import Mail
from fastopp.web.answers import NO_STORE
from fastopp.web.templating import reader_of_request, render, templates_of

VARY = {"Vary": "Accept"}


class PasswordWrong(PasswordRejected):
    """This is not your password."""


def account_page(
    request: Request,
    runtime: Runtime,
    template: str,
    context: Mapping[str, Any],
    *,
    status_code: int = 200,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> Response:
    """Return a page of /account. `done` in its address names the notice that the template shows."""
    shared = {"done": request.query_params.get("done", ""), "mail_configured": runtime.settings.mail is not None}
    return render(
        request, template, shared | dict(context), status_code=status_code, headers=NO_STORE | VARY | dict(headers)
    )


def redirect(address: str) -> RedirectResponse:
    """Return the answer to a form: the page that comes next."""
    return RedirectResponse(address, 303, NO_STORE)


def mail_of(request: Request, runtime: Runtime) -> Mail:
    """Return the mail service for a handler that opens transactions by itself."""
    return Mail(runtime, templates_of(request), reader=reader_of_request(request))


async def confirm_password(request: Request, runtime: Runtime, user: User, password: str) -> None:
    """Check the user's password; failures count as those of signing in.

    Raises PasswordWrong, TooManyAttempts, DatabaseUnavailable, SignInsQueued.
    """
    if not password or user.hashed_password == NO_PASSWORD:
        raise PasswordWrong
    try:
        found = await sign_in(
            runtime.database,
            email=user.email,
            password=password,
            client=client_of(request),
            device=read_device(request, runtime.settings),
            clock=runtime.clock,
        )
    except SignInFailed:
        raise PasswordWrong from None
    if found.id != user.id:
        raise PasswordWrong
