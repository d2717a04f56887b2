"""The client of a request, as sessions and the audit log keep it."""

from __future__ import annotations

from typing import NamedTuple

from starlette.requests import HTTPConnection

MAX_ADDRESS = 100  # characters
MAX_USER_AGENT = 300  # characters


class Client(NamedTuple):
    """The address that a request comes from, and the program that sends it."""

    address: str
    user_agent: str | None = None


def client_of(request: HTTPConnection) -> Client:
    """Return the client, as `ForwardedMiddleware` or uvicorn determined its address."""
    user_agent = request.headers.get("user-agent", "").replace("\0", "")[:MAX_USER_AGENT]
    return Client(client_address(request), user_agent or None)


def client_address(request: HTTPConnection) -> str:
    """Return the address that the request comes from, as `ForwardedMiddleware` or uvicorn determined it."""
    return request.client.host[:MAX_ADDRESS] if request.client else "unknown"
