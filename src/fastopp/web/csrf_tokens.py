"""The session's token, which a form carries so that no other site can send it.

A page carries it under a mask that changes with each request. Compressed pages reveal by their length what occurs twice
in them, so a text that another site chooses must never meet the token itself.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from typing import Any

from fastapi import Request

from fastopp.web.cookies import read_cookie

FIELD = "csrf_token"  # of a form
HEADER = "X-CSRF-Token"  # of a request that a script sends
SESSION_KEY = "csrf"
TOKEN_COOKIE = "access_token"  # noqa: S105 - the name of the cookie that a browser sends along by itself


def token(request: Request) -> str:
    """Return the session's token under this request's mask. The first use makes it, which sets the session cookie."""
    known = request.session.get(SESSION_KEY)
    if not isinstance(known, str):
        known = request.session[SESSION_KEY] = secrets.token_urlsafe(24)
    if not hasattr(request.state, "csrf_mask"):
        request.state.csrf_mask = secrets.token_bytes(len(known))
    mask: bytes = request.state.csrf_mask
    return base64.urlsafe_b64encode(mask + _exclusive_or(mask, known.encode())).decode()


def is_token_of(session: dict[str, Any], given: str) -> bool:
    """Return whether a form or script sent the session's token, under any mask."""
    expected = session.get(SESSION_KEY)
    if not isinstance(expected, str):
        return False
    try:
        masked = base64.b64decode(given, altchars=b"-_", validate=True)
    except ValueError:
        return False
    mask, rest = masked[: len(masked) // 2], masked[len(masked) // 2 :]
    return hmac.compare_digest(_exclusive_or(mask, rest), expected.encode())


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


def _exclusive_or(mask: bytes, text: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(mask, text, strict=False))
