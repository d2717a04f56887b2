"""Protection against requests that another site makes a signed-in browser send (cross-site request forgery).

Two layers, because each alone has a gap:

1. `SameSiteMiddleware` looks at what the browser itself says about where a request comes from (`Sec-Fetch-Site`,
   else `Origin`, else `Referer`) and refuses unsafe methods from elsewhere. It covers everything, mounted
   applications such as /admin included, and reads no body.
2. `verify_csrf_token`, a dependency of every route, demands the session's token of an unsafe request that carries
   our cookies. It is a dependency and not a middleware because the token may be in a form, which FastAPI has
   parsed and keeps, so that no body is read twice.

A request without our cookies (curl, a script) has nothing to forge and passes. So does one with a bearer token, which
no other site can have a browser add; cookies are then ignored. Other `Authorization` headers change nothing: a
browser repeats those of Basic authentication by itself.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fastopp.errors import Forbidden
from fastopp.web.bearer import bearer_token
from fastopp.web.csrf_tokens import FIELD, HEADER, is_token_of, is_wanted, session_of
from fastopp.web.languages import Message
from fastopp.web.problems import answer

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})  # RFC 9110, 9.2.1
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


class CrossSiteRequest(Forbidden):
    """Another site sent this request, so it was not carried out."""

    hint = "Open the page here and try again."


class BadCsrfToken(Forbidden):
    """This form has expired, so nothing was changed."""

    hint = Message(
        "Reload the page and send it again. A script sends the token as the `%(header)s` header.", header=HEADER
    )


async def verify_csrf_token(request: Request) -> None:
    """Dependency of every route. Raises BadCsrfToken."""
    if request.method in SAFE_METHODS or bearer_token(request) or not is_wanted(request):
        return
    given: Any = request.headers.get(HEADER)
    if given is None and request.headers.get("content-type", "").lower().startswith(FORM_TYPES):
        given = (await request.form()).get(FIELD)
    if not (isinstance(given, str) and is_token_of(session_of(request), given)):
        raise BadCsrfToken


class SameSiteMiddleware:
    """Refuses unsafe requests that, by the browser's own word, another site caused."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and is_cross_site(scope):
            response = await answer(Request(scope, receive), CrossSiteRequest())
            await response(scope, receive, send)
            return
        await self.app(scope, receive, send)


def is_cross_site(scope: Scope) -> bool:
    """Return whether the browser says that another site caused the request. Says nothing: it is no browser."""
    headers = Headers(scope=scope)
    fetch_site = headers.get("sec-fetch-site")
    if fetch_site is not None:
        return fetch_site not in ("same-origin", "none")
    source = headers.get("origin") or headers.get("referer")
    if not source:
        return False
    try:
        host = urlsplit(source).netloc
    except ValueError:
        return True
    # A proxy may end TLS, so schemes are not compared; `null`, the origin of a sandbox, has no host.
    return host.lower() != headers.get("host", "").lower()
