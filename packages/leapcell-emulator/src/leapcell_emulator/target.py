"""The target of a request, in each form that HTTP has for it (RFC 9112, 3.2)."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit


class Target(NamedTuple):
    """The resource that a request asks for."""

    path: str
    """Path and query, as they are sent to an instance."""
    host: str = ""
    """The host that the target names; it counts instead of the Host header."""


def read_target(method: str, target: str) -> Target | int:
    """Return the target of a request, or the status to answer with where it is no instance's to answer."""
    if method == "CONNECT":
        return HTTPStatus.METHOD_NOT_ALLOWED  # for proxies
    if target == "*":
        return HTTPStatus.NO_CONTENT if method == "OPTIONS" else HTTPStatus.BAD_REQUEST  # about the server as a whole
    if target.startswith("/"):
        return Target(target)
    try:
        parts = urlsplit(target)
    except ValueError:
        return HTTPStatus.BAD_REQUEST
    if parts.scheme.lower() not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        return HTTPStatus.BAD_REQUEST
    return Target((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), parts.netloc)
