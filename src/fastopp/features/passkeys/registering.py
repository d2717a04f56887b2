"""Register a passkey, list those of an account, rename and remove one."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from sqlmodel import col, delete, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.database.upsert import insert
from fastopp.errors import Conflict, FastOppError, NotFound
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.factors import notify_owner
from fastopp.features.accounts.models import MAX_NAME, User
from fastopp.features.accounts.user_sessions import lock_account
from fastopp.features.mail.service import Mail
from fastopp.features.passkeys.challenges import Challenge
from fastopp.features.passkeys.library import AnswerRefused, call, load_library
from fastopp.features.passkeys.models import Passkey
from fastopp.features.passkeys.relying_party import RelyingParty

MAX_PASSKEYS = 20  # of an account
MAX_ID = 1023  # bytes of a credential's id (WebAuthn, 4)


class PasskeyRefused(FastOppError):
    """The passkey could not be added."""

    status = 422
    hint = "Try again. The page waits for five minutes, and the device has to check that it is you."


class TooManyPasskeys(Conflict):
    """This account has too many passkeys."""

    hint = "Remove one that is not used any more."


class PasskeyMissing(NotFound):
    """There is no such passkey."""


async def list_passkeys(session: AsyncSession, user: User) -> Sequence[Passkey]:
    """Return the passkeys of an account, the oldest first."""
    own = select(Passkey).where(col(Passkey.user_id) == user.id)
    return (await session.exec(own.order_by(col(Passkey.created_at), col(Passkey.id)))).all()


async def registration_options(user: User, known: Sequence[Passkey], challenge: bytes, site: str, rp_id: str) -> str:
    """Return the options of `navigator.credentials.create()`, as JSON."""
    library = await load_library()
    structs = library.helpers.structs
    options = library.generate_registration_options(
        rp_id=rp_id,
        rp_name=site,
        user_id=user.id.bytes,
        user_name=user.email,
        user_display_name=user.name or user.email,
        challenge=challenge,
        authenticator_selection=structs.AuthenticatorSelectionCriteria(
            resident_key=structs.ResidentKeyRequirement.REQUIRED,
            user_verification=structs.UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            structs.PublicKeyCredentialDescriptor(id=library.base64url_to_bytes(each.credential_id)) for each in known
        ],
    )
    text: str = library.options_to_json(options)
    return text


async def verify_registration(
    runtime: Runtime, user: User, credential: dict[str, Any], challenge: Challenge, site: RelyingParty, name: str
) -> Passkey:
    """Return the row of a new passkey, from the browser's answer. Raises PasskeyRefused."""
    library = await load_library()
    try:
        verified = await call(
            library.verify_registration_response,
            credential=credential,
            expected_challenge=challenge.value,
            expected_rp_id=site.id,
            expected_origin=site.origin,
            require_user_verification=True,
        )
    except AnswerRefused as error:
        raise PasskeyRefused from error
    if len(verified.credential_id) > MAX_ID:
        raise PasskeyRefused
    return Passkey(
        user_id=user.id,
        credential_id=library.helpers.bytes_to_base64url(verified.credential_id),
        public_key=verified.credential_public_key,
        sign_count=verified.sign_count,
        last_challenge_at=challenge.made_at,
        name=name[:MAX_NAME],
        created_at=runtime.clock.now(),
    )


async def add_passkey(session: AsyncSession, user: User, passkey: Passkey, client: Client, mail: Mail) -> None:
    """Add the row. Raises TooManyPasskeys, PasskeyRefused for one that exists, AccountChanged."""
    await lock_account(session, user)
    own = select(func.count()).select_from(Passkey).where(col(Passkey.user_id) == user.id)
    if (await session.exec(own)).one() >= MAX_PASSKEYS:
        raise TooManyPasskeys
    statement = insert(session, Passkey).values(**passkey.model_dump())
    statement = statement.on_conflict_do_nothing(index_elements=["credential_id"])
    if (await session.exec(statement.returning(col(Passkey.id)))).first() is None:
        raise PasskeyRefused
    await audit.record(session, user, "add passkey", "Passkey", passkey.id, {"name": passkey.name}, client=client)
    await notify_owner(mail, user, "passkey added", client)


async def get_passkey(session: AsyncSession, user: User, passkey_id: uuid.UUID) -> Passkey:
    """Return a passkey of an account. Raises PasskeyMissing."""
    own = select(Passkey).where(col(Passkey.id) == passkey_id, col(Passkey.user_id) == user.id)
    found = (await session.exec(own)).first()
    if found is None:
        raise PasskeyMissing
    return found


async def rename_passkey(session: AsyncSession, user: User, passkey_id: uuid.UUID, name: str, client: Client) -> None:
    """Give a passkey of an account another name. Raises PasskeyMissing."""
    before = (await get_passkey(session, user, passkey_id)).name
    if before == name:
        return
    own = col(Passkey.id) == passkey_id, col(Passkey.user_id) == user.id
    if (await session.exec(update(Passkey).where(*own).values(name=name))).rowcount == 0:
        raise PasskeyMissing  # it was removed at this moment
    changes = {"from": before, "name": name}
    await audit.record(session, user, "rename passkey", "Passkey", passkey_id, changes, client=client)


async def remove_passkey(session: AsyncSession, user: User, passkey_id: uuid.UUID, client: Client, mail: Mail) -> None:
    """Remove a passkey of an account. Raises PasskeyMissing."""
    own = col(Passkey.id) == passkey_id, col(Passkey.user_id) == user.id
    name = (await session.exec(delete(Passkey).where(*own).returning(col(Passkey.name)))).scalar_one_or_none()
    if name is None:
        raise PasskeyMissing
    await audit.record(session, user, "remove passkey", "Passkey", passkey_id, {"name": name}, client=client)
    await notify_owner(mail, user, "passkey removed", client)
