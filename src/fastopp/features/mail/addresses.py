"""Email addresses, checked by email-validator. Imports it, which takes 50 ms."""

from __future__ import annotations

from email_validator import EmailNotValidError, validate_email

from fastopp.features.mail.errors import MailInvalid


def check_address(text: str) -> str:
    """Return an address as any mail server knows it: all of it in ASCII. Raises MailInvalid.

    Only its form is checked: no name is looked up.
    """
    try:
        found = validate_email(
            text, allow_smtputf8=False, check_deliverability=False, globally_deliverable=False, strict=True
        )
    except EmailNotValidError as error:
        raise MailInvalid(f"Not a valid email address: {error}", hint="Use one like jo@example.com.") from None
    if found.ascii_email is None:
        raise MailInvalid("Not a valid email address: it is not ASCII.")
    return found.ascii_email
