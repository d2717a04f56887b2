"""The session's token, which a form carries so that no other site can send it."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import Request

from fastopp.web.cookies import read_cookie

FIELD = "csrf_token"  # of a form
HEADER = "X-CSRF-Token"  # of a request that a script sends
SESSION_KEY = "csrf"
TOKEN_COOKIE = "access_token"  # noqa: S105 - the name of the cookie that a browser sends along by itself


def token(request: Request) -> str:
    """The session's token, made on first use (which sets the session cookie)."""
    known = request.session.get(SESSION_KEY)
    if isinstance(known, str):
        return known
    fresh = secrets.token_urlsafe(24)
    request.session[SESSION_KEY] = fresh
    return fresh


def is_wanted(request: Request) -> bool:
    """Return whether an unsafe request from this browser would need a token."""
    return has_token_cookie(request) or bool(session_of(request))


def has_token_cookie(request: Request) -> bool:
    """Return whether the browser sends a sign-in token, be it genuine or not."""
    return read_cookie(request, TOKEN_COOKIE) is not None


def session_of(request: Request) -> dict[str, Any]:
    """Return the request's session, empty if it has none."""
    session: dict[str, Any] = request.scope.get("session") or {}
    return session
