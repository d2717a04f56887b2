"""The bearer token of a request (RFC 6750)."""

from __future__ import annotations

from starlette.requests import HTTPConnection


def bearer_token(connection: HTTPConnection) -> str | None:
    """Return the token of the `Authorization` header; None for another scheme, which a browser may add by itself."""
    scheme, _, token = connection.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
