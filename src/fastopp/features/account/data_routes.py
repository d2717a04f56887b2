"""/account/export and /account/delete: the data of a user, and their end."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from fastopp.core.dependencies import RuntimeDep
from fastopp.errors import Conflict, FastOppError
from fastopp.features.account.deletion import delete_account
from fastopp.features.account.exporting import send_chunks, write_export
from fastopp.features.account.pages import account_page, confirm_password, mail_of
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.fresh import DetachedFreshUser, FreshRoute, FreshUser
from fastopp.features.accounts.lockout import TooManyAttempts
from fastopp.features.accounts.passwords import MAX_PASSWORD, PasswordRejected
from fastopp.features.accounts.sessions import forget_cookies
from fastopp.web.answers import NO_STORE
from fastopp.web.checked_form import CheckedForm, FormOf

EXPORT = "/account/export"
DELETE = "/account/delete"
TEMPLATE = "account/delete.html"

router = APIRouter(include_in_schema=False, route_class=FreshRoute)


class DeletionForm(BaseModel):
    """The password of the account that is to be deleted."""

    password: Annotated[str, Field(max_length=MAX_PASSWORD)]


@router.get(EXPORT)
async def export(runtime: RuntimeDep, user: DetachedFreshUser) -> Response:
    """Everything that is stored about the user, as a JSON file."""
    file = await write_export(runtime, user)
    headers = NO_STORE | {"Content-Disposition": 'attachment; filename="account.json"'}
    return StreamingResponse(send_chunks(file), media_type="application/json", headers=headers)


@router.get(DELETE)
async def show_deletion(request: Request, runtime: RuntimeDep, user: FreshUser) -> Response:
    """The form."""
    return account_page(request, runtime, TEMPLATE, {"form": CheckedForm(), "account": user, "error": None})


@router.post(DELETE)
async def delete(
    request: Request, runtime: RuntimeDep, user: DetachedFreshUser, form: FormOf[DeletionForm]
) -> Response:
    """Delete the account, and sign the browser out."""
    error: FastOppError | None = None
    if form.data is not None:
        try:
            await confirm_password(request, runtime, user, form.data.password)
            async with runtime.database.transaction() as session:
                deleted = await delete_account(session, user.id, runtime.apps, client_of(request))
                mail = mail_of(request, runtime)
                if mail.configured:
                    await mail.within(session).send("account/mail/deleted", deleted, moment=runtime.clock.now())
        except PasswordRejected as wrong:
            form.errors["password"] = wrong.message
        except (Conflict, TooManyAttempts) as refused:
            error = refused
        else:
            request.state.user = None
            response = account_page(request, runtime, "account/deleted.html", {})
            forget_cookies(request, response)
            return response
    context = {"form": form, "account": user, "error": error}
    status = form.status_code if error is None else error.status
    return account_page(request, runtime, TEMPLATE, context, status_code=status)
