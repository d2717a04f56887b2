"""/forgot-password asks for a mail; /reset-password, where its link leads, sets the new password."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep, TasksDep
from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError, NotFound
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import OptionalUser
from fastopp.features.accounts.lockout import TooManyAttempts, address_subject, count_request, mail_subject
from fastopp.features.accounts.models import User
from fastopp.features.accounts.password_policy import hash_new_password
from fastopp.features.accounts.passwords import MAX_PASSWORD, PasswordRejected
from fastopp.features.accounts.service import MAX_EMAIL, InvalidEmail, check_email
from fastopp.features.mail.service import mail_of_request
from fastopp.features.password_reset import service
from fastopp.web.answers import NO_STORE
from fastopp.web.checked_form import CheckedForm, FormOf, Mistake
from fastopp.web.forms import CleanText
from fastopp.web.templating import render

PURPOSE = "password reset"  # of what is counted
SEND = "password-reset.send"

router = APIRouter(include_in_schema=False)


class ForgotForm(BaseModel):
    """The address of an account."""

    email: Annotated[CleanText, Field(max_length=MAX_EMAIL), Mistake("Enter your email address.")]


class ResetForm(BaseModel):
    """The new password, with the token of the link."""

    token: str = ""
    password: Annotated[str, Field(max_length=MAX_PASSWORD), Mistake("Enter a password of 8 characters or more.")]


@router.get("/forgot-password")
async def show_forgot(request: Request, runtime: RuntimeDep, user: OptionalUser) -> Response:
    """The form."""
    _require_mail(runtime)
    return _forgot(request, CheckedForm())


@router.post("/forgot-password")
async def forgot(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, tasks: TasksDep, form: FormOf[ForgotForm]
) -> Response:
    """Have a link mailed, if there is an account: a task looks, so the answer and its time are always the same."""
    _require_mail(runtime)
    if form.data is None:
        return _forgot(request, form)
    client = client_of(request)
    try:
        email = check_email(form.data.email)
        counted = mail_subject(PURPOSE, email), address_subject(client.address, purpose=PURPOSE)
        await count_request(session, *counted, clock=runtime.clock)
    except (InvalidEmail, TooManyAttempts) as error:
        form.errors["email"] = str(error)
        return _forgot(request, form, error)
    await tasks.queue(SEND, email=email, address=client.address, user_agent=client.user_agent)
    mail, minutes = runtime.settings.mail, int(service.LIFETIME.total_seconds() // 60)
    shown_here = runtime.settings.development and mail is not None and not mail.leaves_the_machine
    context = {"email": email, "minutes": minutes, "shown_here": shown_here}
    return render(request, "accounts/forgot_password_sent.html", context, headers=NO_STORE)


@router.get("/reset-password")
async def show_reset(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: OptionalUser, token: str = ""
) -> Response:
    """The form for the new password. It changes nothing: programs that scan mails open links too."""
    owner = await service.find_owner(session, token, runtime.clock)
    return _reset(request, CheckedForm(), token, owner)


@router.post("/reset-password")
async def reset(request: Request, runtime: RuntimeDep, form: FormOf[ResetForm]) -> Response:
    """Set the new password."""
    _require_mail(runtime)
    token = str(form.values.get("token", ""))
    async with runtime.database.read() as session:
        owner = await service.find_owner(session, token, runtime.clock)
    if form.data is None:
        return _reset(request, form, token, owner)
    try:
        # Before the transaction, so that no connection waits for it.
        hashed = await hash_new_password(form.data.password, owner.email, owner.name)
    except PasswordRejected as error:
        form.errors["password"] = str(error)
        return _reset(request, form, token, owner)
    mail, client = mail_of_request(request, runtime), client_of(request)
    async with runtime.database.transaction() as session:
        await service.reset(session, mail, token, hashed, client, runtime.clock, runtime.settings)
    return render(request, "accounts/reset_password_done.html", {"email": owner.email}, headers=NO_STORE)


def _require_mail(runtime: Runtime) -> None:
    if runtime.settings.mail is None:
        raise NotFound


def _forgot(request: Request, form: CheckedForm[ForgotForm], error: FastOppError | None = None) -> Response:
    headers = NO_STORE | (dict(error.headers) if error else {})
    code = form.status_code if error is None else error.status
    return render(request, "accounts/forgot_password.html", {"form": form}, status_code=code, headers=headers)


def _reset(request: Request, form: CheckedForm[ResetForm], token: str, owner: User) -> Response:
    context = {"form": form, "token": token, "email": owner.email}
    return render(request, "accounts/reset_password.html", context, status_code=form.status_code, headers=NO_STORE)
