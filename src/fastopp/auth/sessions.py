"""The two cookies of a sign-in: `session` (signed by Starlette) and `access_token` (the token itself)."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from fastopp.auth.models import User
from fastopp.auth.tokens import token_lifetime
from fastopp.settings import Settings

SESSION_COOKIE = "session"
SESSION_LIFETIME = 14 * 24 * 60 * 60  # seconds
TOKEN_COOKIE = "access_token"  # noqa: S105 - a name, not a secret

WEBINAR_GROUPS = frozenset({"marketing", "sales"})  # who manages webinars; the session says so, as in FastOpp 0.4.8


class SchemeAwareSessions:
    """Starlette's sessions, whose cookie is `Secure` exactly when the request came over HTTPS."""

    def __init__(self, app: ASGIApp, *, secret_key: str) -> None:
        self._plain, self._secure = (
            SessionMiddleware(
                app,
                secret_key=secret_key,
                session_cookie=SESSION_COOKIE,
                max_age=SESSION_LIFETIME,
                same_site="lax",
                https_only=https_only,
            )
            for https_only in (False, True)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the connection on with `scope["session"]` filled."""
        sessions = self._secure if scope.get("scheme") in ("https", "wss") else self._plain
        await sessions(scope, receive, send)


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
    response.set_cookie(
        TOKEN_COOKIE,
        token,
        max_age=int(token_lifetime(settings).total_seconds()),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="lax",
    )


def end_session(request: Request, response: Response) -> None:
    """Sign the browser out: everything in the session goes, emergency access included."""
    request.session.clear()
    response.delete_cookie(TOKEN_COOKIE, path="/", secure=request.url.scheme == "https", httponly=True, samesite="lax")
