"""Mails about identities."""

from __future__ import annotations

import logging

from fastapi import Request
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.features.accounts.models import User
from fastopp.features.mail.errors import MailInvalid
from fastopp.features.mail.service import Mail
from fastopp.web.templating import reader_of_request, templates_of

log = logging.getLogger(__name__)


async def notify_owner(
    request: Request,
    runtime: Runtime,
    session: AsyncSession,
    user: User,
    template: str,
    *,
    title: str,
    email: str | None,
) -> None:
    """Send the owner of an account a mail about one of its identities, if this site can send mail."""
    if runtime.settings.mail is None or not runtime.settings.site:
        return
    try:
        await mail_of(request, runtime, session).send(
            f"providers/mail/{template}", user, provider=title, email=email or ""
        )
    except MailInvalid as error:  # an address that an earlier release took; the change is on record in the audit log
        log.warning("The owner of an account got no mail: %s", error, extra={"action": "notice_failed"})


def mail_of(request: Request, runtime: Runtime, session: AsyncSession) -> Mail:
    """Return the mail service, for mails that are sent if the session's transaction is committed."""
    return Mail(runtime, templates_of(request), session, reader=reader_of_request(request))
