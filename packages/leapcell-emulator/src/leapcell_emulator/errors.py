"""The root of every exception that the emulator raises on purpose."""

from __future__ import annotations

from typing import ClassVar


class EmulatorError(Exception):
    """Something went wrong."""

    # A subclass's docstring is its default message. `status` is the HTTP status of the page's answer, `hint` the
    # sentence that says how to fix it.
    status: ClassVar[int] = 500
    hint: str | None = None

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").strip()
        if hint is not None:
            self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class BadRequest(EmulatorError):
    """The request is invalid."""

    status = 400


class Forbidden(EmulatorError):
    """The request is not allowed."""

    status = 403


class NotFound(EmulatorError):
    """There is nothing at this address."""

    status = 404


class Conflict(EmulatorError):
    """The request conflicts with the current state."""

    status = 409


class Unavailable(EmulatorError):
    """A service does not answer at the moment."""

    status = 503
