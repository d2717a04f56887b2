"""The host names that the application answers to.

On a developer's machine a web page whose own name is made to resolve to 127.0.0.1 ("DNS rebinding") is same-origin
with the application: it could sign in with the published demo password and read every answer. The one thing that such
a page cannot change is the name in the `Host` header.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from fastopp.errors import BadRequest
from fastopp.settings import Settings
from fastopp.web.problems import answer

LOCALHOST = "localhost"
IN_PROCESS = (
    "testclient",
    "testserver",
)  # address and host name of Starlette's TestClient, which has no socket

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]*)?", re.IGNORECASE)


class HostNotAllowed(BadRequest):
    """This site does not answer to this host name."""

    hint = "On your own machine open http://localhost:8000, or add the name to ALLOWED_HOSTS."


class HostMiddleware:
    """Refuse requests for any other host name than those of ALLOWED_HOSTS, and in development this machine's own.

    Outside development an empty ALLOWED_HOSTS allows every name: which ones reach the process is up to the platform.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings) -> None:
        self.app = app
        self.allowed = parse_hosts(settings.allowed_hosts)
        self.development = settings.development
        self.checked = self.development or bool(self.allowed)
        if own := urlsplit(settings.wake_url).hostname:  # where the application wakes itself
            self.allowed += (own,)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if not self.checked or scope["type"] not in ("http", "websocket") or self._is_allowed(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # before it is accepted: answered 403
        else:
            response = await answer(Request(scope, receive), HostNotAllowed())
            await response(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        name = host_name(Headers(scope=scope).get("host", ""))
        if any(name == host or (host.startswith(".") and name.endswith(host)) for host in self.allowed):
            return True
        client = scope.get("client") or ("", 0)
        return self.development and (is_own_name(name) or (client[0], name) == IN_PROCESS)


def parse_hosts(text: str) -> tuple[str, ...]:
    """Return the names of a comma-separated list; `*.example.com` becomes `.example.com`."""
    names = (name.strip().lower().removeprefix("*") for name in text.split(","))
    return tuple(filter(None, names))


def host_name(header: str) -> str:
    """Return the name in a `Host` header, in lower case, without port, brackets and final dot; else an empty text."""
    found = _HOST.fullmatch(header.strip())
    return found["name"].lower().strip("[]").rstrip(".") if found else ""


def is_own_name(name: str) -> bool:
    """Whether a name can only be this machine: `localhost`, what is below it (RFC 6761, 6.3), loopback addresses."""
    if name == LOCALHOST or name.endswith(f".{LOCALHOST}"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
