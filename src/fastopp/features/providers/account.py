"""/account/providers: the identities that sign in to the user's account."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette import status

from fastopp.core.dependencies import PrimarySessionDep, RuntimeDep
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.current_user import CurrentUser
from fastopp.features.accounts.fresh import CONFIRM_PAGE, DetachedFreshUser, SignInStale
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import has_password
from fastopp.features.providers import pending
from fastopp.features.providers.errors import ProviderUnknown
from fastopp.features.providers.identities import link, list_identities, unlink
from fastopp.features.providers.notices import notify_owner
from fastopp.features.providers.provider import find_providers, get_provider, title_of
from fastopp.features.providers.routes import PAGE, lead_to
from fastopp.web.answers import NO_STORE, prefers_html
from fastopp.web.templating import render


class FreshPageRoute(APIRoute):
    """A route that leads a browser to the page for its password when the sign-in is not fresh, and then to the page.

    An account without a password signs in again instead.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except SignInStale:
                user: User | None = getattr(request.state, "user", None)
                if user is None or not has_password(user.hashed_password) or not prefers_html(request):
                    raise
                page = f"{PAGE}/confirm" if request.scope["path"] == f"{PAGE}/confirm" else PAGE
                return RedirectResponse(f"{CONFIRM_PAGE}?{urlencode({'next': page})}", 303, NO_STORE)

        return handle


router = APIRouter(prefix=PAGE, include_in_schema=False, route_class=FreshPageRoute)


@router.get("")
async def show(request: Request, runtime: RuntimeDep, session: PrimarySessionDep, user: CurrentUser) -> Response:
    """The page."""
    offered = find_providers(runtime.settings)
    rows = await list_identities(session, user.id)
    if not offered and not rows:
        raise ProviderUnknown
    identities = [(row, title_of(runtime.settings, row.provider)) for row in rows]
    context = {"identities": identities, "offered": offered, "has_password": has_password(user.hashed_password)}
    return render(request, "providers/account.html", context, headers=NO_STORE)


@router.get("/confirm")
async def show_confirmation(request: Request, runtime: RuntimeDep, user: CurrentUser) -> Response:
    """Ask whether to link the identity that this browser has shown before."""
    identity = pending.read_identity(request, runtime.settings, runtime.clock.time())
    context = {"identity": identity, "title": title_of(runtime.settings, identity.provider)}
    return render(request, "providers/confirm_link.html", context, headers=NO_STORE)


@router.post("/confirm")
async def confirm(request: Request, runtime: RuntimeDep, user: DetachedFreshUser) -> Response:
    """Link it: the sign-in has proven the account, and the provider the identity."""
    settings, clock = runtime.settings, runtime.clock
    identity = pending.read_identity(request, settings, clock.time())
    title = title_of(settings, identity.provider)
    async with runtime.database.transaction() as session:
        if await link(session, user, identity, client_of(request), clock):
            await notify_owner(request, runtime, session, user, "linked", title=title, email=identity.email)
    response = _back()
    pending.forget_identity(request, response)
    return response


@router.post("/link/{name}")
async def start(request: Request, runtime: RuntimeDep, user: DetachedFreshUser, name: str) -> Response:
    """Begin to link an identity, and show the way to the provider."""
    provider = get_provider(runtime.settings, name)
    return await lead_to(request, runtime, provider, "link", user=str(user.id))


@router.post("/unlink/{identity_id}")
async def remove(request: Request, runtime: RuntimeDep, user: DetachedFreshUser, identity_id: uuid.UUID) -> Response:
    """Unlink an identity, unless it is the last way to sign in."""
    offered = [each.key for each in find_providers(runtime.settings)]
    async with runtime.database.transaction() as session:
        row = await unlink(session, user, identity_id, client_of(request), offered=offered)
        title = title_of(runtime.settings, row.provider)
        await notify_owner(request, runtime, session, user, "unlinked", title=title, email=row.email)
    return _back()


def _back() -> Response:
    return RedirectResponse(PAGE, status.HTTP_303_SEE_OTHER, headers=NO_STORE)
