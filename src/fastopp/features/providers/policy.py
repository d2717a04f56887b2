"""Who may sign in and who may get an account, and what a sign-in leads to."""

from __future__ import annotations

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from starlette import status

from fastopp.core.runtime import Runtime
from fastopp.features.accounts.landing import landing_page, safe_next
from fastopp.features.accounts.models import User
from fastopp.features.accounts.sessions import begin_session
from fastopp.features.accounts.sign_in import SignInInactive, SignInNotStaff
from fastopp.settings import Settings
from fastopp.web.answers import NO_STORE


def sign_up_mode(settings: Settings) -> str:
    """Return SIGN_UP: `closed`, `invite` or `open`."""
    return settings.app_variables.get("sign_up", "closed").lower()


def is_sign_up_open(settings: Settings) -> bool:
    """Return whether any visitor may get an account."""
    return sign_up_mode(settings) == "open"


def check_may_sign_in(user: User, settings: Settings) -> None:
    """Raise SignInInactive or SignInNotStaff for an account that may not sign in."""
    if not user.is_active:
        raise SignInInactive
    if not (user.is_staff or user.is_superuser) and sign_up_mode(settings) == "closed":
        raise SignInNotStaff


async def complete(request: Request, user: User, next_page: str, runtime: Runtime) -> Response:
    """Sign the browser in, and redirect it. Raises AccountChanged, DatabaseUnavailable."""
    page = safe_next(next_page, request)
    if page is None:
        page = landing_page(user, request) if user.is_staff or user.is_superuser else "/"
    response = RedirectResponse(page, status.HTTP_302_FOUND, headers=NO_STORE)
    await begin_session(request, response, user, runtime)
    return response
