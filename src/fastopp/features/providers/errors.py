"""Errors of sign-ins with a provider."""

from __future__ import annotations

from fastopp.errors import BadRequest, Conflict, FastOppError, Forbidden, NotFound, Unavailable


class ProviderUnknown(NotFound):
    """This site does not offer to sign in with this provider."""


class ProviderFailed(FastOppError):
    """The provider does not answer as it should."""

    status = 502
    hint = "Try again in a minute, or sign in with your password."

    def __init__(self, message: str | None = None, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        """For operators. It contains nothing that the provider wrote."""


class ProviderUnusable(Unavailable):
    """Signing in with a provider is not set up correctly."""

    hint = "Run `python oppman.py check`."


class AnswerRefused(Forbidden):
    """The provider's answer could not be verified, so you were not signed in."""

    hint = "Try again. If it happens again, contact the administrator of this site."


class SignInExpired(BadRequest):
    """This sign-in was not started in this browser, is too old, or was completed already."""

    hint = "Start again on the sign-in page."


class SignInDeclined(Forbidden):
    """The provider did not confirm who you are."""

    hint = "You may have cancelled. Start again on the sign-in page."


class IdentityExpired(BadRequest):
    """There is nothing to confirm, or it is too old."""

    hint = "Sign in with the provider again."


class IdentityTaken(Conflict):
    """This identity belongs to another account here."""

    hint = "Sign in with it, and unlink it there first."


class IdentityMissing(NotFound):
    """There is no such identity in your account."""


class LastWayIn(Conflict):
    """This is the last way to sign in to your account."""

    hint = "Set a password or link another provider first."


class AddressUnusable(Forbidden):
    """The email address that the provider names cannot be used."""

    hint = "Change it there, or sign in with your password and link the provider to your account."
