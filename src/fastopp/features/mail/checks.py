"""Checks of mail, from the settings and the source alone."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.features.accounts.settings import AccountSettings

NAMES = frozenset({"MailDep", "open_mail"})
"""The names that a module imports which sends mail."""


@check(
    "fastopp.W701",
    "Mail is needed, but none is configured",
    fix="Set MAIL_URL and MAIL_FROM.",
    subject=Subject.MAIL,
)
def needed(context: CheckContext) -> Iterator[Problem]:
    """Pages that send a mail answer 503, and the rest of what they do is rolled back. Sign-up works without."""
    if context.settings.mail is None:
        for reason in reasons(context):
            yield Problem(f"MAIL_URL is not set, but {reason}.")


@check(
    "fastopp.W702",
    "Mails do not leave the server",
    fix="Set MAIL_URL to a mail server: smtp://USER:PASSWORD@HOST:587 or smtps://USER:PASSWORD@HOST:465.",
    subject=Subject.MAIL,
)
def kept_here(context: CheckContext) -> Iterator[Problem]:
    """They reach no recipient, and the log or a file contains links that only the recipients may know."""
    url = context.settings.mail
    if not context.settings.development and url is not None and not url.leaves_the_machine:
        yield Problem(f"MAIL_URL is {url.kind}:, which is for development.")


@check(
    "fastopp.W703",
    "Mail is sent unencrypted",
    fix="Remove starttls=never from MAIL_URL, or use smtps://.",
    subject=Subject.MAIL,
)
def unencrypted(context: CheckContext) -> Iterator[Problem]:
    """Mails, and the password of the mail server, can be read on the way."""
    url = context.settings.mail
    if url is not None and url.kind == "smtp" and url.starttls == "never" and not url.is_local:
        yield Problem("MAIL_URL says starttls=never.")


@check(
    "fastopp.W704",
    "The URL of the site is unknown",
    fix="Set SITE_URL to the address that visitors type, like https://shop.example.com.",
    subject=Subject.MAIL,
)
def no_site(context: CheckContext) -> Iterator[Problem]:
    """A mail with a link cannot be written. The host name of a request is never used: its sender chooses it."""
    if context.settings.mail is not None and not context.settings.site:
        yield Problem("MAIL_URL is set, but SITE_URL is not.")


def reasons(context: CheckContext) -> Iterator[str]:
    """Yield what needs mail, as the end of a sentence."""
    sign_up = context.settings.of(AccountSettings).sign_up
    if sign_up == "open":
        yield "SIGN_UP is open: without mail no address is confirmed, and no password can be reset"
    if sign_up == "invite":
        yield "SIGN_UP is invite: without mail you pass invitations on yourself, and no password can be reset"
    for file in context.sources:
        if any(name.rpartition(".")[2] in NAMES for _, name in file.imports()):
            yield f"{file.path} sends mail"
