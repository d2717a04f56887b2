"""Make the message that goes over the wire from a row. Imports Python's email package, 60 ms."""

from __future__ import annotations

from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from fastopp.features.mail.errors import MailInvalid
from fastopp.features.mail.models import MailMessage
from fastopp.settings.mail_url import Sender

# ASCII on the wire: not every server takes more.
_POLICY = SMTP.clone(cte_type="7bit")


def make_message(mail: MailMessage, sender: Sender) -> bytes:
    """Return the message. Raises MailInvalid where its body was deleted."""
    if mail.text is None:
        raise MailInvalid("The body of the mail was deleted.")
    try:
        return _encoded(mail, mail.text, Address(sender.name, addr_spec=sender.address))
    except (ValueError, MessageError) as error:
        raise MailInvalid(f"The mail cannot be encoded: {error}") from error


def _encoded(mail: MailMessage, text: str, sender: Address) -> bytes:
    message = EmailMessage(policy=_POLICY)
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
