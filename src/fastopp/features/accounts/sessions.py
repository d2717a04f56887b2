"""The cookies of a sign-in: `session` (signed by Starlette) and `access_token` (the token itself).

Over HTTPS their names begin with `__Host-`; see `fastopp.web.cookies`.
"""

from __future__ import annotations

from fastapi import Request, Response
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.features.accounts.devices import remember_device
from fastopp.features.accounts.models import User
from fastopp.features.accounts.tokens import token_lifetime
from fastopp.settings import Settings
from fastopp.web.cookies import HOST_PREFIX, delete_cookie, set_cookie

SESSION_COOKIE = "session"
SECURE_SESSION_COOKIE = f"{HOST_PREFIX}{SESSION_COOKIE}"
SESSION_LIFETIME = 14 * 24 * 60 * 60  # seconds
TOKEN_COOKIE = "access_token"  # noqa: S105 - a name, not a secret

_DELETED = f"{SESSION_COOKIE}=null; path=/; Max-Age=0; httponly; samesite=lax; secure".encode()

WEBINAR_GROUPS = frozenset({"marketing", "sales"})  # who manages webinars; the session says so, as in FastOpp 0.4.8


class SchemeAwareSessions:
    """Starlette's sessions, whose cookie is `Secure` and named `__Host-session` when the request came over HTTPS."""

    def __init__(self, app: ASGIApp, *, secret_key: str) -> None:
        self._plain, self._secure = (
            SessionMiddleware(
                app,
                secret_key=secret_key,
                session_cookie=name,
                max_age=SESSION_LIFETIME,
                same_site="lax",
                https_only=https_only,
            )
            for name, https_only in ((SESSION_COOKIE, False), (SECURE_SESSION_COOKIE, True))
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the connection on with `scope["session"]` filled."""
        if scope.get("scheme") not in ("https", "wss"):
            await self._plain(scope, receive, send)
            return
        cookies = HTTPConnection(scope).cookies
        if SESSION_COOKIE not in cookies:
            await self._secure(scope, receive, send)
            return
        if SECURE_SESSION_COOKIE not in cookies:
            renamed = f"{SECURE_SESSION_COOKIE}={cookies[SESSION_COOKIE]}".encode("latin-1", "replace")
            scope["headers"] = [*scope["headers"], (b"cookie", renamed)]
        await self._secure(scope, receive, _without_plain_cookie(send))


def _without_plain_cookie(send: Send) -> Send:
    """Delete the cookie under its plain name as soon as the session is written or cleared under the other."""
    written = f"{SECURE_SESSION_COOKIE}=".encode()

    async def send_with_deletion(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = message.get("headers", ())
            if any(name.lower() == b"set-cookie" and value.startswith(written) for name, value in headers):
                message["headers"] = [*headers, (b"set-cookie", _DELETED)]
        await send(message)

    return send_with_deletion


def session_middleware(settings: Settings) -> Middleware:
    """The session layer, ready for `FastAPI(middleware=[...])`."""
    return Middleware(SchemeAwareSessions, secret_key=settings.secret_key.get_secret_value())


def begin_session(request: Request, response: Response, user: User, token: str, settings: Settings) -> None:
    """Sign the browser in: a session that keeps nothing of the one before, and the token's cookie.

    Nothing reads rights from the session: its entries are for templates and programs that FastOpp 0.4.8 served.
    """
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
            "can_manage_webinars": user.is_superuser or user.group in WEBINAR_GROUPS,
        }
    )
    set_cookie(request, response, TOKEN_COOKIE, token, max_age=int(token_lifetime(settings).total_seconds()))
    remember_device(request, response, user, settings)


def end_session(request: Request, response: Response) -> None:
    """Sign the browser out: everything in the session goes, emergency access included."""
    request.session.clear()
    delete_cookie(request, response, TOKEN_COOKIE)
