"""/login/with: sign in with GitHub, Google or another provider.

The browser goes to the provider from a page, and not by a redirect of the form: the policy of our pages
(`form-action`) lets forms lead to this site only.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse
from starlette import status

from fastopp.core.dependencies import RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import current_user
from fastopp.features.accounts.landing import safe_next
from fastopp.features.accounts.links import find_link, use_link
from fastopp.features.accounts.lockout import Subject, address_subject, record_failure, refuse_locked
from fastopp.features.accounts.models import User
from fastopp.features.accounts.service import EmailTaken, InvalidEmail
from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.accounts.sign_in import check_may_sign_in
from fastopp.features.accounts.sign_in_steps import complete_sign_in
from fastopp.features.providers import pending
from fastopp.features.providers.connections import address_at, identify
from fastopp.features.providers.errors import (
    AnswerRefused,
    IdentityExpired,
    IdentityTaken,
    SignInDeclined,
    SignInExpired,
)
from fastopp.features.providers.failures import SignInRoute
from fastopp.features.providers.identities import find_owner, link, note_use, sign_up
from fastopp.features.providers.identity import Identity
from fastopp.features.providers.newcomers import LINK_PURPOSE, ask_to_confirm, belongs_to
from fastopp.features.providers.notices import notify_owner
from fastopp.features.providers.provider import Provider, get_provider
from fastopp.settings import Settings
from fastopp.web.answers import NO_STORE
from fastopp.web.languages import Message
from fastopp.web.templating import render

PAGE = "/account/providers"
FAILURES = 20  # refused answers of a provider before a client's network is locked
MAX_STATE = 100  # characters
MAX_CODE = 4000

router = APIRouter(prefix="/login/with", include_in_schema=False, route_class=SignInRoute)

Token = Annotated[str, Query(max_length=MAX_STATE)]


@router.post("/{name}")
async def start(
    request: Request, runtime: RuntimeDep, name: str, next_page: Annotated[str, Form(alias="next")] = ""
) -> Response:
    """Begin a sign-in, and show the way to the provider."""
    provider = get_provider(runtime.settings, name)
    return await lead_to(request, runtime, provider, "sign in", next_page=safe_next(next_page, request) or "")


@router.get("/{name}/callback")
async def callback(
    request: Request,
    runtime: RuntimeDep,
    name: str,
    state: Annotated[str, Query(max_length=MAX_STATE)] = "",
    code: Annotated[str, Query(max_length=MAX_CODE)] = "",
    error: Annotated[str, Query(max_length=MAX_CODE)] = "",
    issuer: Annotated[str | None, Query(alias="iss", max_length=MAX_CODE)] = None,
) -> Response:
    """Complete what was started in this browser. It changes data by a GET: `state` stands for a form token."""
    provider = get_provider(runtime.settings, name)
    started = pending.take(request, name, state, runtime.clock.time())
    if error or not code:
        raise SignInDeclined(Message("%(provider)s did not confirm who you are.", provider=provider.title))
    counted = _counted(request)
    async with runtime.database.read() as session:
        await refuse_locked(session, counted, clock=runtime.clock)
    try:
        identity = await identify(runtime, provider, started, code, issuer)
    except AnswerRefused:
        async with runtime.database.transaction() as session:
            await record_failure(session, counted, clock=runtime.clock)
        raise
    if started.purpose == "link":
        return await _link(request, runtime, provider, identity, started.user)
    owner = await _enter(runtime, identity)
    if owner is not None:
        return await complete_sign_in(request, owner, started.next_page, runtime)
    return await _welcome(request, runtime, provider, identity, started.next_page)


@router.get("/{name}/confirm")
async def show_confirmation(request: Request, runtime: RuntimeDep, name: str, token: Token = "") -> Response:
    """Ask whether to open the account that a mailed link is for. Mail programs open links too: this changes nothing."""
    provider = get_provider(runtime.settings, name)
    async with runtime.database.read() as session:
        found = await find_link(session, LINK_PURPOSE, token, clock=runtime.clock)
    identity = pending.read_identity(request, runtime.settings, runtime.clock.time())
    if not belongs_to(found, identity):
        raise IdentityExpired
    context = {"provider": provider, "identity": identity, "token": token}
    return render(request, "providers/confirm_address.html", context, headers=NO_STORE)


@router.post("/{name}/confirm")
async def confirm(
    request: Request, runtime: RuntimeDep, name: str, token: Annotated[str, Form(max_length=MAX_STATE)] = ""
) -> Response:
    """Open the account: the address is proven by the mail, and the identity by this browser.

    Both are needed. Otherwise the owner of an address could be made to open an account that another user can enter.
    """
    provider = get_provider(runtime.settings, name)
    identity = pending.read_identity(request, runtime.settings, runtime.clock.time())
    try:
        async with runtime.database.transaction() as session:
            found = await use_link(session, LINK_PURPOSE, token, clock=runtime.clock)
            if not belongs_to(found, identity) or not _is_sign_up_open(runtime.settings):
                raise IdentityExpired
            user = await sign_up(session, identity, client_of(request), runtime.clock)
    except (EmailTaken, IdentityTaken):
        return _unknown(request, runtime, provider, identity)
    response = await complete_sign_in(request, user, "", runtime)
    pending.forget_identity(request, response)
    return response


async def lead_to(
    request: Request,
    runtime: Runtime,
    provider: Provider,
    purpose: pending.Purpose,
    *,
    user: str = "",
    next_page: str = "",
) -> Response:
    """Return the page that leads to a provider. Raises ProviderFailed, TooManyAttempts."""
    async with runtime.database.read() as session:
        await refuse_locked(session, _counted(request), clock=runtime.clock)
    moment = runtime.clock.time()
    started = pending.start(request, provider.name, purpose, moment, user=user, next_page=next_page)
    context = {"provider": provider, "address": await address_at(runtime, provider, started)}
    return render(request, "providers/leave.html", context, headers=NO_STORE)


async def _enter(runtime: Runtime, identity: Identity) -> User | None:
    """Return the account of a known identity. Raises SignInInactive, SignInNotStaff, SignInUnconfirmed."""
    async with runtime.database.transaction() as session:
        owner = await find_owner(session, identity)
        if owner is not None:
            check_may_sign_in(owner, runtime.settings)
            await note_use(session, identity, runtime.clock)
    return owner


async def _welcome(
    request: Request, runtime: Runtime, provider: Provider, identity: Identity, next_page: str
) -> Response:
    """Open an account for an unknown identity, or say how it can be linked to one."""
    if identity.email is None or not _is_sign_up_open(runtime.settings):
        return _unknown(request, runtime, provider, identity)
    if not identity.email_verified:
        if runtime.settings.mail is None:
            return _unknown(request, runtime, provider, identity)
        await ask_to_confirm(request, runtime, provider, identity)
        response: Response = render(
            request, "providers/check_mail.html", {"provider": provider, "identity": identity}, headers=NO_STORE
        )
        pending.keep_identity(request, response, runtime.settings, identity, runtime.clock.time())
        return response
    try:
        user: User | None = await _open_account(request, runtime, provider, identity)
    except (EmailTaken, IdentityTaken, InvalidEmail):
        user = await _enter(runtime, identity)  # of two callbacks at once the other one opened it
    if user is None:
        return _unknown(request, runtime, provider, identity)
    return await complete_sign_in(request, user, next_page, runtime)


async def _open_account(request: Request, runtime: Runtime, provider: Provider, identity: Identity) -> User:
    async with runtime.database.transaction() as session:
        user = await sign_up(session, identity, client_of(request), runtime.clock)
        await notify_owner(request, runtime, session, user, "opened", title=provider.title, email=identity.email)
    return user


async def _link(request: Request, runtime: Runtime, provider: Provider, identity: Identity, user_id: str) -> Response:
    """Link an identity to the account that asked for it."""
    async with runtime.database.transaction() as session:
        user = await current_user(request, session, runtime.settings, runtime.clock)
        if str(user.id) != user_id:
            raise SignInExpired
        if await link(session, user, identity, client_of(request), runtime.clock):
            await notify_owner(request, runtime, session, user, "linked", title=provider.title, email=identity.email)
    return RedirectResponse(PAGE, status.HTTP_303_SEE_OTHER, headers=NO_STORE)


def _unknown(request: Request, runtime: Runtime, provider: Provider, identity: Identity) -> Response:
    """Say that the identity is not linked. The same whether or not there is an account with its address."""
    context = {"provider": provider, "next": f"{PAGE}/confirm"}
    response: Response = render(
        request, "providers/unknown.html", context, status_code=status.HTTP_403_FORBIDDEN, headers=NO_STORE
    )
    pending.keep_identity(request, response, runtime.settings, identity, runtime.clock.time())
    return response


def _is_sign_up_open(settings: Settings) -> bool:
    return settings.of(AccountSettings).sign_up == "open"


def _counted(request: Request) -> Subject:
    return address_subject(client_of(request).address, purpose="providers", limit=FAILURES)
