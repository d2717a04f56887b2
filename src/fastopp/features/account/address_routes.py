"""/account/address: another email address."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from fastopp.core.dependencies import ClockDep, PrimarySessionDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.features.account import address
from fastopp.features.account.pages import account_page, confirm_password, mail_of, redirect
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import CurrentUser, PresentUser
from fastopp.features.accounts.fresh import DetachedFreshUser, FreshRoute, FreshUser
from fastopp.features.accounts.links import find_link
from fastopp.features.accounts.lockout import TooManyAttempts
from fastopp.features.accounts.models import User
from fastopp.features.accounts.password_policy import hash_new_password
from fastopp.features.accounts.passwords import MAX_PASSWORD, PasswordRejected
from fastopp.features.accounts.service import MAX_EMAIL, EmailTaken, InvalidEmail, check_email
from fastopp.features.mail.service import MailDep
from fastopp.web.checked_form import CheckedForm, FormOf
from fastopp.web.forms import CleanText
from fastopp.web.languages import Message

PAGE = address.PAGE
TEMPLATE = "account/address.html"

router = APIRouter(include_in_schema=False, route_class=FreshRoute)


class AddressForm(BaseModel):
    """Another address; without mail, also the password."""

    email: Annotated[CleanText, Field(max_length=MAX_EMAIL)]
    password: Annotated[str, Field(max_length=MAX_PASSWORD)] = ""


class UndoForm(BaseModel):
    """The password that an account gets together with its old address."""

    password: Annotated[str, Field(max_length=MAX_PASSWORD)]


@router.get(PAGE)
async def show_address(request: Request, runtime: RuntimeDep, user: FreshUser) -> Response:
    """The form."""
    return account_page(request, runtime, TEMPLATE, {"form": CheckedForm(), "account": user})


@router.post(PAGE)
async def change_address(
    request: Request, runtime: RuntimeDep, user: DetachedFreshUser, form: FormOf[AddressForm]
) -> Response:
    """Mail a link to the new address. Where no mail is sent, change it at once, given the password."""
    email = _checked(form, user)
    if email is not None:
        try:
            if runtime.settings.mail is not None:
                await _request(request, runtime, user, email)
                return redirect("/account?done=address-requested")
            await _change_at_once(request, runtime, user, email, form)
            return redirect("/account?done=address")
        except EmailTaken as error:
            form.errors["email"] = error.message
        except (PasswordRejected, TooManyAttempts) as error:
            form.errors["password" if isinstance(error, PasswordRejected) else "email"] = error.message
    return account_page(request, runtime, TEMPLATE, {"form": form, "account": user}, status_code=form.status_code)


@router.get(f"{PAGE}/confirm/{{token}}")
async def show_confirmation(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: CurrentUser, clock: ClockDep, token: str
) -> Response:
    """The page that a link leads to. Opening it changes nothing: programs that look through mail do so too."""
    link = await address.find_change(session, user, token, clock)
    return account_page(request, runtime, "account/address_confirm.html", {"email": link.email, "account": user})


@router.post(f"{PAGE}/confirm/{{token}}")
async def confirm_address(
    request: Request,
    runtime: RuntimeDep,
    session: PrimarySessionDep,
    user: PresentUser,
    clock: ClockDep,
    mail: MailDep,
    token: str,
) -> Response:
    """Change the address, and report it to the old one."""
    changed = await address.confirm_change(session, user, token, mail, client_of(request), clock)
    request.session["user_email"] = changed.email
    return redirect("/account?done=address")


@router.get(f"{PAGE}/undo/{{token}}")
async def show_undo(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, clock: ClockDep, token: str
) -> Response:
    """The page for the owner of the old address, who need not be signed in, and perhaps cannot."""
    link = await find_link(session, "restore email", token, clock=clock)
    return account_page(request, runtime, "account/address_undo.html", {"email": link.email, "form": CheckedForm()})


@router.post(f"{PAGE}/undo/{{token}}")
async def undo(request: Request, runtime: RuntimeDep, token: str, form: FormOf[UndoForm]) -> Response:
    """Restore the old address with a new password, and sign the account out everywhere."""
    async with runtime.database.read() as session:
        email = (await find_link(session, "restore email", token, clock=runtime.clock)).email or ""
    if form.data is not None:
        try:
            hashed = await hash_new_password(form.data.password, email)
        except PasswordRejected as error:
            form.errors["password"] = error.message
        else:
            async with runtime.database.transaction() as session:
                await address.undo_change(session, token, hashed, client_of(request), runtime.clock)
            return redirect("/login")
    context = {"email": email, "form": form}
    return account_page(request, runtime, "account/address_undo.html", context, status_code=form.status_code)


def _checked(form: CheckedForm[AddressForm], user: User) -> str | None:
    """Return the address of the form, if it is another one that may be."""
    if form.data is None:
        return None
    try:
        email = check_email(form.data.email)
    except InvalidEmail as error:
        form.errors["email"] = error.message
        return None
    if email == user.email:
        form.errors["email"] = Message("This is your address already.")
        return None
    return email


async def _request(request: Request, runtime: Runtime, user: User, email: str) -> None:
    async with runtime.database.transaction() as session:
        await address.count_request(session, user, runtime.clock)
        mail = mail_of(request, runtime)
        await address.request_change(session, user, email, mail, client_of(request), runtime.clock)


async def _change_at_once(
    request: Request, runtime: Runtime, user: User, email: str, form: CheckedForm[AddressForm]
) -> None:
    await confirm_password(request, runtime, user, form.data.password if form.data else "")
    async with runtime.database.transaction() as session:
        await address.count_request(session, user, runtime.clock)  # kept, although the address may be refused
    async with runtime.database.transaction() as session:
        mail = mail_of(request, runtime)
        await address.change_address(session, user, email, mail, client_of(request), runtime.clock)
    request.session["user_email"] = email
