"""/sign-up: the form, and the page of the link that confirms an address. With SIGN_UP=open only."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette import status

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep, TasksDep
from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError, NotFound
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import OptionalUser
from fastopp.features.accounts.landing import page_after_sign_in, safe_next
from fastopp.features.accounts.links import find_link
from fastopp.features.accounts.lockout import TooManyAttempts, address_subject, count_request, mail_subject
from fastopp.features.accounts.models import AccountLink
from fastopp.features.accounts.password_policy import hash_new_password
from fastopp.features.accounts.passwords import PasswordRejected
from fastopp.features.accounts.service import InvalidEmail, check_email
from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.accounts.sign_in_steps import complete_sign_in
from fastopp.features.mail.errors import MailInvalid
from fastopp.features.mail.service import mail_of_request
from fastopp.features.sign_up import service
from fastopp.features.sign_up.forms import AddressForm, SignUpForm
from fastopp.settings import Settings
from fastopp.web.answers import NO_STORE
from fastopp.web.checked_form import CheckedForm, FormOf
from fastopp.web.templating import render

PURPOSE = "sign-up"  # of what is counted
SEND_AGAIN = "sign-up.send-again"
BEGUN = "sign_ups"  # in the browser's session: the ids of the links of its sign-ups
MAX_BEGUN = 3

router = APIRouter(prefix="/sign-up", include_in_schema=False)

NextPage = Annotated[str, Form(alias="next")]


@router.get("")
async def show_form(
    request: Request, runtime: RuntimeDep, user: OptionalUser, next_page: Annotated[str, Query(alias="next")] = ""
) -> Response:
    """The form."""
    _require_open(runtime.settings)
    if user is not None:
        return _redirect(page_after_sign_in(user, request, next_page))
    return _form(request, CheckedForm(), next_page)


@router.post("")
async def sign_up(
    request: Request, runtime: RuntimeDep, form: FormOf[SignUpForm], next_page: NextPage = ""
) -> Response:
    """Keep the sign-up, and mail a link; the answer is the same for every address."""
    settings = runtime.settings
    _require_open(settings)
    if form.data is None:
        return _form(request, form, next_page)
    try:
        email = await _sign_up(request, runtime, form.data, next_page)
    except (InvalidEmail, MailInvalid, PasswordRejected, TooManyAttempts) as error:
        form.errors["password" if isinstance(error, PasswordRejected) else "email"] = str(error)
        return _form(request, form, next_page, error)
    context = {"email": email, "mailed": settings.mail is not None, "next": safe_next(next_page, request) or ""}
    return render(request, "accounts/sign_up_sent.html", context | _about_mail(runtime), headers=NO_STORE)


@router.post("/again")
async def send_again(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, tasks: TasksDep, form: FormOf[AddressForm]
) -> Response:
    """Mail another link; the answer is the same for every address."""
    _require_open(runtime.settings)
    if runtime.settings.mail is None:
        raise NotFound
    if form.data is None:
        return _redirect("/sign-up")
    email = check_email(form.data.email)
    client = client_of(request)
    counted = mail_subject(PURPOSE, email), address_subject(client.address, purpose=PURPOSE)
    await count_request(session, *counted, clock=runtime.clock)
    await tasks.queue(SEND_AGAIN, email=email)
    context = {"email": email, "mailed": True, "next": ""}
    return render(request, "accounts/sign_up_sent.html", context | _about_mail(runtime), headers=NO_STORE)


@router.get("/confirm")
async def show_link(
    request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: OptionalUser, token: str = ""
) -> Response:
    """Show a button. It changes nothing: programs that scan mails open links too."""
    _require_open(runtime.settings)
    link = await find_link(session, "confirm", token, clock=runtime.clock)
    return _link_page(request, link, token)


@router.post("/confirm")
async def confirm(
    request: Request, runtime: RuntimeDep, token: Annotated[str, Form()] = "", password: Annotated[str, Form()] = ""
) -> Response:
    """Create the account, and sign in.

    In another browser than that of the sign-up it takes the password: the owner of the address may not be who typed
    it, and would enter an account that another person knows the password of.
    """
    _require_open(runtime.settings)
    async with runtime.database.read() as session:
        link = await find_link(session, "confirm", token, clock=runtime.clock)
    if not _began_here(request, link.id):
        try:
            fits = await service.knows_password(link, password)
        except PasswordRejected:
            fits = False
        if not fits:
            subject = address_subject(client_of(request).address, purpose=PURPOSE)
            async with runtime.database.transaction() as session:
                await count_request(session, subject, clock=runtime.clock)
            return _link_page(request, link, token, wrong=True)
    async with runtime.database.transaction() as session:
        user, next_page = await service.confirm(session, token, client_of(request), runtime.clock)
    return await complete_sign_in(request, user, next_page, runtime)


async def _sign_up(request: Request, runtime: Runtime, typed: SignUpForm, next_page: str) -> str:
    database, clock, client = runtime.database, runtime.clock, client_of(request)
    email = check_email(typed.email)
    async with database.transaction() as session:
        await count_request(session, address_subject(client.address, purpose=PURPOSE), clock=clock)
    # Between two transactions: no connection waits for a hash.
    hashed = await hash_new_password(typed.password, email, typed.name)
    wanted = service.NewAccount(email, hashed, typed.name, safe_next(next_page, request) or "")
    async with database.transaction() as session:
        await count_request(session, mail_subject(PURPOSE, email), clock=clock)
        if runtime.settings.mail is None:
            await service.create_unconfirmed(session, wanted, client, clock)
        else:
            token = await service.begin(session, mail_of_request(request, runtime), wanted, clock)
            begun = [*request.session.get(BEGUN, ()), token.partition("_")[0]]
            request.session[BEGUN] = begun[-MAX_BEGUN:]
    return email


def _began_here(request: Request, link_id: uuid.UUID) -> bool:
    return link_id.hex in request.session.get(BEGUN, ())


def _link_page(request: Request, link: AccountLink, token: str, *, wrong: bool = False) -> Response:
    context = {"token": token, "email": link.email, "asks": not _began_here(request, link.id), "wrong": wrong}
    code = status.HTTP_422_UNPROCESSABLE_CONTENT if wrong else status.HTTP_200_OK
    return render(request, "accounts/sign_up_confirm.html", context, status_code=code, headers=NO_STORE)


def _require_open(settings: Settings) -> None:
    if settings.of(AccountSettings).sign_up != "open":
        raise NotFound


def _about_mail(runtime: Runtime) -> dict[str, bool]:
    """Whether the mail can be read at /oppman/mail: where it leaves this machine for nowhere."""
    settings = runtime.settings
    return {"shown_here": settings.development and settings.mail is not None and not settings.mail.leaves_the_machine}


def _form(
    request: Request, form: CheckedForm[SignUpForm], next_page: str, error: FastOppError | None = None
) -> Response:
    context = {"form": form, "next": safe_next(next_page, request) or ""}
    code = form.status_code if error is None else error.status
    headers = NO_STORE | (dict(error.headers) if error else {})
    return render(request, "accounts/sign_up.html", context, status_code=code, headers=headers)


def _redirect(address: str) -> RedirectResponse:
    return RedirectResponse(address, status.HTTP_303_SEE_OTHER, headers=NO_STORE)
