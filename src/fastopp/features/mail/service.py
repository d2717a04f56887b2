"""Queue mails: `MailDep` in a handler, `open_mail` in a task or a command."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

from fastapi import Depends, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.dependencies import READ_ONLY_METHODS, PrimarySessionDep, RuntimeDep
from fastopp.core.runtime import Runtime
from fastopp.errors import FastOppError
from fastopp.features.mail.errors import MailInvalid, MailNotConfigured
from fastopp.settings import Settings
from fastopp.settings.mail_url import parse_sender
from fastopp.web.languages import Reader, reader_of
from fastopp.web.setup import catalogue_folders, template_folders
from fastopp.web.templating import Templates, reader_of_request, templates_of

if TYPE_CHECKING:
    from fastopp.features.mail.models import MailMessage
    from fastopp.tasks.host import Host

SEND: Final = "mail.send"
"""The name of the task."""

MAX_RECIPIENTS: Final = 50
"""Recipients of one call: each is a row and a task."""


class Account(Protocol):
    """A recipient with an address, like `User`. `language` and `time_zone` count too, where it has them."""

    email: str


class Mail:
    """Queue mails. Each recipient gets a separate one, and sees no other.

    Parameters
    ----------
    session: an open transaction; what is queued is sent if and when that is committed. Without one, `send` opens
        and commits a transaction.
    reader: the language and time zone of mails to plain addresses; the site's default if not given.
    """

    def __init__(
        self,
        runtime: Runtime,
        templates: Templates,
        session: AsyncSession | None = None,
        *,
        reader: Reader | None = None,
    ) -> None:
        self._runtime = runtime
        self._templates = templates
        self._session = session
        self._reader = reader or reader_of(runtime.settings, None, "", templates.catalogues)

    def within(self, session: AsyncSession) -> Mail:
        """Return the same, in a transaction of the caller."""
        return Mail(self._runtime, self._templates, session, reader=self._reader)

    @property
    def configured(self) -> bool:
        """Whether there is anywhere to send mails to."""
        return self._runtime.settings.mail is not None

    async def send(
        self,
        template: str,
        to: str | Account | Sequence[str | Account],
        *,
        reply_to: str = "",
        **context: Any,  # noqa: ANN401 - for the template
    ) -> list[MailMessage]:
        """Write a mail now, and queue it. Returns a row for each recipient.

        Parameters
        ----------
        template: a name like `shop/mail/order`, for `shop/mail/order.txt` and, if it exists, `shop/mail/order.html`.
        to: an account or an email address, or several: at most MAX_RECIPIENTS. An account gets the mail in its
            language, and with times in its time zone.
        reply_to: where answers go, if not to MAIL_FROM.
        context: what the templates may use, beside `site_name`, `site_url` and `link("/path")`.

        Raises
        ------
        MailNotConfigured: MAIL_URL is not set.
        MailInvalid: an address is invalid, or there are none, or too many, or the template sets no subject.
        MailTooBig: the text or the HTML is too large.
        SiteUnknown: a link needs SITE_URL.
        jinja2.TemplateNotFound, jinja2.UndefinedError: a mistake in the program.
        """
        rows = self.write(template, to, reply_to=reply_to, **context)
        if self._session is not None:
            await self._queue(self._session, rows)
        else:
            async with self._runtime.database.transaction() as session:
                await self._queue(session, rows)
        return rows

    def write(
        self,
        template: str,
        to: str | Account | Sequence[str | Account],
        *,
        reply_to: str = "",
        **context: Any,  # noqa: ANN401 - for the template
    ) -> list[MailMessage]:
        """Write a mail, and queue nothing. See `send`."""
        from fastopp.features.mail.addresses import check_address  # noqa: PLC0415 - 50 ms, where a mail is written
        from fastopp.features.mail.models import MailMessage  # noqa: PLC0415 - the table, where a mail is written
        from fastopp.features.mail.rendering import write_mail  # noqa: PLC0415 - as above

        if not self.configured:
            raise MailNotConfigured
        given = list(to) if isinstance(to, Sequence) and not isinstance(to, str) else [to]
        if not 0 < len(given) <= MAX_RECIPIENTS:
            raise MailInvalid(f"A mail has 1 to {MAX_RECIPIENTS} recipients, not {len(given)}.")
        recipients = {check_address(_address_of(each)): self._reader_of(each) for each in given}
        answers_to = check_address(reply_to) if reply_to else ""
        written = {
            reader: write_mail(self._templates, template, context, reader) for reader in set(recipients.values())
        }
        return [
            MailMessage(
                created_at=self._runtime.clock.now(),
                template=template,
                recipient=recipient,
                reply_to=answers_to,
                subject=written[reader].subject,
                text=written[reader].text,
                html=written[reader].html,
                language=reader.language,
                message_id=f"<{uuid.uuid4().hex}@{_domain(self._runtime.settings)}>",
            )
            for recipient, reader in recipients.items()
        ]

    def _reader_of(self, recipient: str | Account) -> Reader:
        if isinstance(recipient, str):
            return self._reader
        account = reader_of(self._runtime.settings, recipient, "", self._templates.catalogues)
        return account if getattr(recipient, "language", None) else account._replace(language=self._reader.language)

    async def _queue(self, session: AsyncSession, rows: Sequence[MailMessage]) -> None:
        session.add_all(rows)
        await session.flush()
        await self._runtime.tasks.within(session).queue_many(SEND, [{"mail": row.id} for row in rows])


def _address_of(recipient: str | Account) -> str:
    return recipient if isinstance(recipient, str) else recipient.email


def _domain(settings: Settings) -> str:
    """Return the right side of message ids: ours, so that no other site makes the same ones."""
    sender = parse_sender(settings.mail_from)
    return sender.address.rpartition("@")[2] if sender else "localhost"


class NoApplication(FastOppError):
    """Mails are written by a running application."""

    hint = "Pass `context.runtime` of a task, or what `open_runtime` returns."


def open_mail(runtime: Host, session: AsyncSession | None = None) -> Mail:
    """Return the mail service for a task or a command: `open_mail(context.runtime)`.

    It reads the templates again, so make one for many mails. See `Mail` for `session`. Raises NoApplication.
    """
    if not isinstance(runtime, Runtime):
        raise NoApplication
    templates = Templates(
        runtime.settings,
        directories=template_folders(runtime.apps),
        name=runtime.title,
        catalogues=catalogue_folders(runtime.apps),
    )
    return Mail(runtime, templates, session)


def mail_of_request(request: Request, runtime: Runtime, session: AsyncSession | None = None) -> Mail:
    """Return the mail service for a handler with separate transactions: mails are in the language of the request."""
    return Mail(runtime, templates_of(request), session, reader=reader_of_request(request))


async def get_mail(request: Request, runtime: RuntimeDep, session: PrimarySessionDep) -> Mail:
    """Dependency: the mail service; mails are sent only if this request's transaction is committed."""
    return mail_of_request(request, runtime, None if request.method in READ_ONLY_METHODS else session)


MailDep = Annotated[Mail, Depends(get_mail)]
