"""Cookies that only this host can set: over HTTPS their names begin with `__Host-`.

A browser takes such a cookie only from the host itself, over HTTPS and for every path (RFC 6265bis, 4.1.3.2), so
another site below the same domain cannot plant one. A cookie under the plain name, set by an earlier release, is
still read, and replaced when its value is next written.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.responses import Response

HOST_PREFIX = "__Host-"


def cookie_name(connection: HTTPConnection, name: str) -> str:
    """Return the name that a cookie has over this connection."""
    return HOST_PREFIX + name if is_https(connection) else name


def is_https(connection: HTTPConnection) -> bool:
    """Return whether the browser is connected over HTTPS, a proxy's connection included."""
    return connection.scope.get("scheme") in ("https", "wss")


def read_cookie(connection: HTTPConnection, name: str) -> str | None:
    """Return a cookie's value."""
    cookies = connection.cookies
    return cookies.get(cookie_name(connection, name), cookies.get(name))


def set_cookie(connection: HTTPConnection, response: Response, name: str, value: str, *, max_age: int) -> None:
    """Set a cookie that scripts cannot read; `max_age` is in seconds."""
    full_name, secure = cookie_name(connection, name), is_https(connection)
    response.set_cookie(full_name, value, max_age, path="/", secure=secure, httponly=True, samesite="lax")
    if full_name != name and name in connection.cookies:
        response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


def delete_cookie(connection: HTTPConnection, response: Response, name: str) -> None:
    """Delete a cookie, under its plain name too."""
    secure = is_https(connection)
    for known in {name, cookie_name(connection, name)}:
        response.delete_cookie(known, path="/", secure=secure, httponly=True, samesite="lax")
