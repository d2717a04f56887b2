"""Talk SMTP, through aiosmtplib, with a limit on each step and on all of them. Imports aiosmtplib, 230 ms."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache

from aiosmtplib import (
    SMTP,
    SMTPDataError,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
)

from fastopp.features.mail.errors import MailDelayed, MailError, MailRefused
from fastopp.settings.mail_url import MailURL, StartTLS

MAX_ANSWER = 500  # characters of a server's answer that are kept
_PERMANENT = 500  # RFC 5321, 4.2.1: from here on, the same again would be refused again
_START_TLS: dict[StartTLS, bool | None] = {"offered": None, "require": True, "never": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class SMTPLimits:
    """The time that a server may take."""

    step: float = 15.0
    """Seconds for connecting, and for each answer. RFC 5321 would grant minutes; a request does not have those."""
    whole: float = 60.0
    """Seconds for all of it."""
    goodbye: float = 2.0
    """Seconds for the answer to QUIT, when the mail was taken."""
    tls: ssl.SSLContext | None = None
    """The authorities that are trusted, if others than usual."""


async def hand_over(url: MailURL, sender: str, recipient: str, message: bytes, limits: SMTPLimits) -> None:
    """Hand a message to the server. Raises MailDelayed, MailRefused.

    Only what the server says of this recipient or this message is final. A refused sign-in or sender is a mistake in
    the settings, which can be corrected while the mail waits.
    """
    async with _signed_in(url, limits) as client:
        await client.sendmail(sender, [recipient], message)


async def sign_in(url: MailURL, limits: SMTPLimits) -> None:
    """Connect and sign in, and send nothing. Raises MailDelayed."""
    async with _signed_in(url, limits):
        return


@asynccontextmanager
async def _signed_in(url: MailURL, limits: SMTPLimits) -> AsyncIterator[SMTP]:
    client = SMTP(
        hostname=url.host,
        port=url.port,
        username=url.username or None,
        password=url.password or None,
        use_tls=url.kind == "smtps",
        start_tls=None if url.kind == "smtps" else _START_TLS[url.starttls],
        tls_context=limits.tls or await asyncio.to_thread(_trusted),
        timeout=limits.step,
        local_hostname="localhost",  # else the resolver is asked for this machine's name
    )
    try:
        async with asyncio.timeout(limits.whole):
            await client.connect()
            yield client
        with suppress(SMTPException, TimeoutError):  # it was taken, so what happens to the connection is no failure
            await client.quit(timeout=limits.goodbye)
    except (SMTPException, OSError, TimeoutError, UnicodeError) as error:  # the last one: a name that DNS cannot hold
        raise _judge(error, url) from error
    finally:
        client.close()


def _judge(error: Exception, url: MailURL) -> MailError:
    if isinstance(error, SMTPRecipientsRefused) and error.recipients:
        error = error.recipients[0]
    final = isinstance(error, SMTPRecipientRefused | SMTPDataError) and error.code >= _PERMANENT
    if isinstance(error, SMTPResponseException):
        answer = f"{error.code} {error.message}"[:MAX_ANSWER]
        return (MailRefused if final else MailDelayed)(f"The mail server {url.host} answered: {answer}")
    if isinstance(error, TimeoutError):
        return MailDelayed(f"The mail server {url.host} did not answer in time.")
    if isinstance(error, SMTPNotSupported):
        return MailDelayed(f"The mail server {url.host} lacks what MAIL_URL needs: {error}"[:MAX_ANSWER])
    return MailDelayed(f"The mail server {url.host} cannot be used: {error}"[:MAX_ANSWER])


@cache
def _trusted() -> ssl.SSLContext:
    """Return the authorities that httpx trusts, in a context of our own: httpx names HTTP in those that it uses."""
    import httpx  # noqa: PLC0415 - 100 ms

    return httpx.create_ssl_context()
