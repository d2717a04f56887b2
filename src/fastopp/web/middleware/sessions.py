"""Sessions: `request.session`, kept in a cookie that Starlette signs. Over HTTPS its name begins with `__Host-`."""

from __future__ import annotations

from collections.abc import Sequence

from itsdangerous import TimestampSigner
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.web.cookies import HOST_PREFIX

SESSION_COOKIE = "session"
SECURE_SESSION_COOKIE = f"{HOST_PREFIX}{SESSION_COOKIE}"
SESSION_LIFETIME = 14 * 24 * 60 * 60  # seconds

_DELETED = f"{SESSION_COOKIE}=null; path=/; Max-Age=0; httponly; samesite=lax; secure".encode()


class SchemeAwareSessions:
    """Starlette's sessions, whose cookie is `Secure` and named `__Host-session` when the request came over HTTPS.

    Parameters
    ----------
    signing_keys: keys whose signatures are accepted, the oldest first. The last one signs.
    """

    def __init__(self, app: ASGIApp, *, signing_keys: Sequence[str]) -> None:
        self._plain, self._secure = (
            SessionMiddleware(
                app,
                secret_key=signing_keys[-1],
                session_cookie=name,
                max_age=SESSION_LIFETIME,
                same_site="lax",
                https_only=https_only,
            )
            for name, https_only in ((SESSION_COOKIE, False), (SECURE_SESSION_COOKIE, True))
        )
        for sessions in (self._plain, self._secure):
            sessions.signer = TimestampSigner([*signing_keys])  # Starlette takes one key only

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
