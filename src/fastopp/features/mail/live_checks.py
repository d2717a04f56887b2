"""A check that signs in at the mail server, and sends nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.features.mail.errors import MailDelayed
from fastopp.tasks.failure import mask


@check(
    "fastopp.E710",
    "The mail server cannot be used",
    fix="Compare MAIL_URL with what the mail service shows. Some platforms block port 25: use 587 or 465.",
    subject=Subject.MAIL,
    mode=Mode.LIVE,
)
async def unusable(context: CheckContext) -> AsyncIterator[Problem]:
    """This connects and signs in; it sends nothing. Mails would wait, and fail after a day."""
    url = context.settings.mail
    if url is None or not url.leaves_the_machine:
        raise CannotCheck("MAIL_URL names no mail server.")
    from fastopp.features.mail.smtp import SMTPLimits, sign_in  # noqa: PLC0415 - aiosmtplib, 230 ms

    try:
        await sign_in(url, SMTPLimits())
    except MailDelayed as error:
        yield Problem(mask(error.message, context.settings))
