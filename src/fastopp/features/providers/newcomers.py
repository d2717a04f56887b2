"""Newcomers whose provider does not vouch for their email address: it is confirmed by mail."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode

from fastapi import Request

from fastopp.core.runtime import Runtime
from fastopp.features.accounts.client import client_of
from fastopp.features.accounts.links import Purpose, create_link
from fastopp.features.accounts.lockout import Subject, address_subject, record_failure, refuse_locked
from fastopp.features.accounts.models import AccountLink, fold_email
from fastopp.features.accounts.service import find_user
from fastopp.features.mail.errors import MailInvalid
from fastopp.features.providers.errors import AddressUnusable
from fastopp.features.providers.identity import Identity
from fastopp.features.providers.notices import mail_of
from fastopp.features.providers.pending import IDENTITY_LIFETIME
from fastopp.features.providers.provider import Provider

LINK_PURPOSE: Final[Purpose] = "confirm identity"
MAILS_TO_ADDRESS = 3  # in an hour or so, before further ones are refused
MAILS_FROM_NETWORK = 20


async def ask_to_confirm(request: Request, runtime: Runtime, provider: Provider, identity: Identity) -> None:
    """Send a mail with a link to the address; if it has an account, a mail without a link.

    The page is the same, so that it reveals no account. Raises TooManyAttempts, AddressUnusable.
    """
    email = identity.email or ""
    folded = hashlib.sha256(fold_email(email).encode()).hexdigest()
    counted = (
        Subject(f"provider mail:{folded}", MAILS_TO_ADDRESS),
        address_subject(client_of(request).address, purpose="provider mails", limit=MAILS_FROM_NETWORK),
    )
    async with runtime.database.transaction() as session:
        await refuse_locked(session, *counted, clock=runtime.clock)
        await record_failure(session, *counted, clock=runtime.clock)
        user = await find_user(session, email)
        token = await create_link(
            session,
            LINK_PURPOSE,
            email=fold_email(email),
            details={"provider": identity.provider, "subject": identity.subject},
            lifetime=timedelta(seconds=IDENTITY_LIFETIME),
            clock=runtime.clock,
        )
        mail = mail_of(request, runtime, session)
        try:
            if user is None:
                page = f"/login/with/{provider.name}/confirm?{urlencode({'token': token})}"
                await mail.send("providers/mail/confirm", email, provider=provider.title, page=page)
            else:
                await mail.send("providers/mail/known", user, provider=provider.title)
        except MailInvalid as error:
            raise AddressUnusable from error


def belongs_to(link: AccountLink, identity: Identity) -> bool:
    """Return whether a link was mailed for this identity."""
    expected = {"provider": identity.provider, "subject": identity.subject}
    return link.details == expected and identity.email is not None and link.email == fold_email(identity.email)
