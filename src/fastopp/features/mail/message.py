"""Make the message that goes over the wire from a row. Imports Python's email package, 60 ms."""

from __future__ import annotations

from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr

from fastopp.features.mail.errors import MailInvalid
from fastopp.features.mail.models import MailMessage


def sender_address(mail_from: str) -> str:
    """Return the address in MAIL_FROM: the envelope's sender, to which servers report what cannot be delivered."""
    return parseaddr(mail_from)[1]


def make_message(mail: MailMessage, mail_from: str) -> bytes:
    """Return the message. Raises MailInvalid where its body was deleted."""
    if mail.text is None:
        raise MailInvalid("The body of the mail was deleted.")
    name, address = parseaddr(mail_from)
    try:
        return _encoded(mail, mail.text, Address(name, addr_spec=address))
    except (ValueError, MessageError) as error:
        raise MailInvalid(f"The mail cannot be encoded: {error}") from error


def _encoded(mail: MailMessage, text: str, sender: Address) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=mail.recipient)
    if mail.reply_to:
        message["Reply-To"] = Address(addr_spec=mail.reply_to)
    message["Subject"] = mail.subject
    message["Date"] = mail.created_at
    message["Message-ID"] = mail.message_id
    # RFC 3834: answering machines leave it alone.
    message["Auto-Submitted"] = "auto-generated"
    if mail.language:
        message["Content-Language"] = mail.language
    message.set_content(text)
    if mail.html is not None:
        message.add_alternative(mail.html, subtype="html")
    return message.as_bytes()
