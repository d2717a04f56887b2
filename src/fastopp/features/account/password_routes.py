"""/account/password: set another password, which ends every other session."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from fastopp.core.dependencies import RuntimeDep
from fastopp.features.account.pages import account_page, mail_of, redirect
from fastopp.features.accounts import audit
from fastopp.features.accounts import service as accounts
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.fresh import DetachedFreshUser, FreshRoute, FreshUser
from fastopp.features.accounts.passwords import MAX_PASSWORD, PasswordRejected
from fastopp.features.accounts.sessions import begin_session
from fastopp.web.checked_form import CheckedForm, FormOf
from fastopp.web.languages import Message

PAGE = "/account/password"
TEMPLATE = "account/password.html"

router = APIRouter(include_in_schema=False, route_class=FreshRoute)


class PasswordForm(BaseModel):
    """A new password, typed twice."""

    password: Annotated[str, Field(max_length=MAX_PASSWORD)]
    again: Annotated[str, Field(max_length=MAX_PASSWORD)]


@router.get(PAGE)
async def show_password(request: Request, runtime: RuntimeDep, user: FreshUser) -> Response:
    """The form."""
    return account_page(request, runtime, TEMPLATE, {"form": CheckedForm()})


@router.post(PAGE)
async def change_password(
    request: Request, runtime: RuntimeDep, user: DetachedFreshUser, form: FormOf[PasswordForm]
) -> Response:
    """Set the password, and go on with another session: all that there were have ended."""
    if form.data is not None and form.data.password != form.data.again:
        form.errors["again"] = Message("The two passwords differ.")
    if form.data is not None and not form.errors:
        try:
            async with runtime.database.transaction() as session:
                changed = await accounts.change_password(session, email=user.email, password=form.data.password)
                await audit.record(session, changed, "change password", "User", user.id, request=request)
                mail = mail_of(request, runtime)
                if mail.configured:
                    client, moment = client_of(request), runtime.clock.now()
                    await mail.within(session).send(
                        "account/mail/password_changed", changed, moment=moment, address=client.address
                    )
        except PasswordRejected as error:
            form.errors["password"] = error.message
        else:
            response = redirect("/account?done=password")
            await begin_session(request, response, changed, runtime)
            return response
    return account_page(request, runtime, TEMPLATE, {"form": form}, status_code=form.status_code)
