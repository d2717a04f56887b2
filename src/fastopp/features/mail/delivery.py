"""Hand a mail to where MAIL_URL says: a server, the log or a folder. It holds no transaction meanwhile."""

from __future__ import annotations

import asyncio
import logging
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from fastopp.features.mail.errors import MailDelayed, MailInvalid, MailNotConfigured
from fastopp.features.mail.message import make_message
from fastopp.settings import Settings
from fastopp.settings.mail_url import MailURL, Sender, parse_sender

if TYPE_CHECKING:
    from fastopp.features.mail.models import MailMessage
    from fastopp.features.mail.smtp import SMTPLimits

log = logging.getLogger(__name__)

NO_SENDER = Sender("", "noreply@localhost")
"""MAIL_FROM where mails do not leave the machine."""


async def deliver(mail: MailMessage, settings: Settings, limits: SMTPLimits | None = None) -> None:
    """Hand over a mail.

    Raises
    ------
    MailDelayed: it was not taken; try again.
    MailRefused: this mail or its recipient was refused for good.
    MailNotConfigured: MAIL_URL is not set.
    """
    url = settings.mail
    if url is None:
        raise MailNotConfigured
    sender = parse_sender(settings.mail_from) or NO_SENDER
    if url.kind == "console":
        log.info("Mail to %s: %s\n\n%s", mail.recipient, mail.subject, mail.text)
        return
    # Encoding what may be long is done in a thread.
    message = await asyncio.to_thread(make_message, mail, sender)
    if url.kind == "file":
        await asyncio.to_thread(_write, url, mail, message)
        return
    from fastopp.features.mail.smtp import SMTPLimits, hand_over  # noqa: PLC0415 - aiosmtplib, 230 ms

    await hand_over(url, sender.address, mail.recipient, message, limits or SMTPLimits())


def _write(url: MailURL, mail: MailMessage, message: bytes) -> None:
    """Write a message into the folder, whole or not at all; the same mail has the same name."""
    folder = Path(url.folder)
    name = f"{mail.created_at:%Y%m%d-%H%M%S}-{mail.id}.eml"
    temporary = folder / f".{name}.{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(message)
            temporary.replace(folder / name)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise MailDelayed(f"The folder of MAIL_URL cannot be written: {error.strerror}.") from error
    except ValueError as error:  # a NUL character in its name
        raise MailInvalid("MAIL_URL names no valid folder.") from error
