"""A fresh sign-in: what changes who may sign in wants a sign-in of the last quarter of an hour, or the password again.

So a browser that was left open, or a copied cookie, is not enough to take an account over.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from fastopp.clock import Clock
from fastopp.core.dependencies import ClockDep, RuntimeDep
from fastopp.errors import Forbidden
from fastopp.features.accounts.current_user import PresentUser, current_user, present_user, session_of, user_door
from fastopp.features.accounts.models import User
from fastopp.web.answers import NO_STORE, prefers_html
from fastopp.web.doors import guarded_by
from fastopp.web.languages import Message

FRESH_FOR = timedelta(minutes=15)
CONFIRM_PAGE = "/account/confirm"


class SignInStale(Forbidden):
    """You signed in some time ago. Confirm that it is you."""

    hint = Message("Enter your password at %(page)s, or sign in again.", page=CONFIRM_PAGE)


def is_fresh(request: Request, clock: Clock) -> bool:
    """Return whether the request's browser has signed in just now. Its user must have been loaded."""
    row = session_of(request)
    return row is not None and row.kind == "browser" and row.created_at > clock.now() - FRESH_FOR


@guarded_by(user_door)
async def _detached_user(request: Request, runtime: RuntimeDep) -> User:
    async with runtime.database.read() as session:
        return await present_user(request, await current_user(request, session, runtime.settings, runtime.clock))


async def _fresh_user(request: Request, user: PresentUser, clock: ClockDep) -> User:
    """Dependency: the user of a browser that has signed in just now. Raises NotSignedIn, BrowsersOnly, SignInStale."""
    if not is_fresh(request, clock):
        raise SignInStale
    return user


DetachedUser = Annotated[User, Depends(_detached_user)]
"""The user of a browser, for a handler that hashes a password: see `detached`."""


async def _detached_fresh_user(request: Request, user: DetachedUser, clock: ClockDep) -> User:
    if not is_fresh(request, clock):
        raise SignInStale
    return user


FreshUser = Annotated[User, Depends(_fresh_user)]
DetachedFreshUser = Annotated[User, Depends(_detached_fresh_user)]


class FreshRoute(APIRoute):
    """A route that leads a browser to the page for its password when the sign-in is not fresh, and back again."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except SignInStale:
                if not prefers_html(request):
                    raise
                address = f"{CONFIRM_PAGE}?{urlencode({'next': request.scope['path']})}"
                return RedirectResponse(address, 303, NO_STORE)

        return handle
