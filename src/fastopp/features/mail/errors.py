"""Errors of mail."""

from __future__ import annotations

from fastopp.errors import Conflict, FastOppError, NotFound


class MailError(FastOppError):
    """A mail cannot be sent."""


class MailNotConfigured(MailError):
    """This site cannot send mail."""

    status = 503
    hint = "Set MAIL_URL and MAIL_FROM."


class SiteUnknown(MailError):
    """A link in a mail needs the URL of the site, which is unknown."""

    status = 503
    hint = "Set SITE_URL, like https://shop.example.com."


class MailInvalid(MailError):
    """The mail is invalid."""

    status = 422


class MailTooBig(MailError):
    """The mail is too large."""

    status = 413


class MailDelayed(MailError):
    """The mail server did not take the mail. It is tried again."""


class MailRefused(MailError):
    """The mail server refused the mail for good."""


class MailMissing(NotFound):
    """There is no such mail. Old ones are deleted."""


class MailConflict(Conflict):
    """The state of the mail does not allow this."""
