"""The root of every exception FastOpp raises on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar


class FastOppError(Exception):
    """Something went wrong."""

    # A subclass's docstring is its default message; `status` is the HTTP status it is answered
    # with, `headers` go along, `hint` is the sentence that says how to fix it, `extensions` are more keys of the
    # JSON answer (RFC 9457, 3.2).
    status: ClassVar[int] = 500
    hint: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    extensions: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        if hint is not None:
            self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class Unavailable(FastOppError):
    """A service that FastOpp depends on does not answer at the moment."""

    status = 503
    headers = MappingProxyType({"Retry-After": "5"})


class NotFound(FastOppError):
    """There is nothing at this address."""

    status = 404


class BadRequest(FastOppError):
    """The request is invalid."""

    status = 400


class Conflict(FastOppError):
    """The request conflicts with the current state."""

    status = 409


class Unauthorized(FastOppError):
    """Sign in to continue."""

    status = 401


class Forbidden(FastOppError):
    """Your account may not do this."""

    status = 403
