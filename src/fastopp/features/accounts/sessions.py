"""The beginning and the end of a sign-in: what the session holds, and the token's cookie."""

from __future__ import annotations

from fastapi import Request, Response

from fastopp.core.runtime import Runtime
from fastopp.features.accounts.devices import remember_device
from fastopp.features.accounts.models import User
from fastopp.features.accounts.tokens import token_lifetime
from fastopp.web.cookies import delete_cookie, set_cookie
from fastopp.web.csrf_tokens import TOKEN_COOKIE


def begin_session(request: Request, response: Response, user: User, token: str, runtime: Runtime) -> None:
    """Sign the browser in: a session that keeps nothing of the one before, and the token's cookie.

    Nothing reads rights from the session: its entries are for templates and programs that FastOpp 0.4.8 served.
    """
    settings = runtime.settings
    request.session.clear()
    request.session.update(
        {
            "token": token,
            "is_authenticated": True,
            "is_superuser": user.is_superuser,
            "is_staff": user.is_staff,
            "user_id": str(user.id),
            "user_email": user.email,
            "group": user.group,
        }
    )
    for app in runtime.apps:
        request.session.update({key: entry(user) for key, entry in app.session_entries().items()})
    set_cookie(request, response, TOKEN_COOKIE, token, max_age=int(token_lifetime(settings).total_seconds()))
    remember_device(request, response, user, settings)


def end_session(request: Request, response: Response) -> None:
    """Sign the browser out: everything in the session goes, emergency access included."""
    request.session.clear()
    delete_cookie(request, response, TOKEN_COOKIE)
