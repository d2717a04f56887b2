"""Find out whose passkey has signed a challenge."""

from __future__ import annotations

import re
from typing import Any, Final

from sqlmodel import col, select, update

from fastopp.core.runtime import Runtime
from fastopp.errors import Unauthorized
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.models import User
from fastopp.features.accounts.sign_in import check_may_sign_in
from fastopp.features.accounts.user_sessions import lock_account
from fastopp.features.passkeys.challenges import Challenge
from fastopp.features.passkeys.library import AnswerRefused, call, load_library
from fastopp.features.passkeys.models import Passkey
from fastopp.features.passkeys.relying_party import RelyingParty

_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,1400}")  # base64url


class PasskeyUnknown(Unauthorized):
    """This passkey does not sign in here."""

    hint = "Try again within five minutes, choose another passkey, or use your password."


async def request_options(challenge: bytes, rp_id: str) -> str:
    """Return the options of `navigator.credentials.get()`, as JSON. They name no account: the passkey does."""
    library = await load_library()
    required = library.helpers.structs.UserVerificationRequirement.REQUIRED
    options = library.generate_authentication_options(rp_id=rp_id, challenge=challenge, user_verification=required)
    text: str = library.options_to_json(options)
    return text


async def find_owner(
    runtime: Runtime, credential: dict[str, Any], challenge: Challenge, site: RelyingParty, client: Client
) -> User:
    """Return the account whose passkey has signed the challenge, after its device has checked who uses it.

    Raises
    ------
    PasskeyUnknown: nothing more is said about the reason.
    SignInInactive, SignInNotStaff, SignInUnconfirmed: as with the right password.
    """
    library = await load_library()
    given = credential.get("id")
    if not isinstance(given, str) or not _ID.fullmatch(given):
        raise PasskeyUnknown
    statement = select(Passkey, User).where(col(Passkey.credential_id) == given, col(User.id) == col(Passkey.user_id))
    async with runtime.database.read() as session:
        found = (await session.exec(statement)).first()
        session.expunge_all()
    if found is None:
        raise PasskeyUnknown
    passkey, user = found
    try:
        parsed = await call(library.helpers.parse_authentication_credential_json, json_val=credential)
        verified = await call(
            library.verify_authentication_response,
            credential=parsed,
            expected_challenge=challenge.value,
            expected_rp_id=site.id,
            expected_origin=site.origin,
            credential_public_key=passkey.public_key,
            credential_current_sign_count=passkey.sign_count,
            require_user_verification=True,
        )
    except AnswerRefused as error:
        raise PasskeyUnknown from error
    if parsed.response.user_handle != user.id.bytes:
        raise PasskeyUnknown
    check_may_sign_in(user, runtime.settings)
    unused = (
        col(Passkey.id) == passkey.id,
        col(Passkey.sign_count) == passkey.sign_count,
        col(Passkey.last_challenge_at) < challenge.made_at,
    )
    changes = {
        "sign_count": verified.new_sign_count,
        "last_challenge_at": challenge.made_at,
        "last_used_at": runtime.clock.now(),
    }
    async with runtime.database.transaction() as session:
        await lock_account(session, user)
        used = await session.exec(update(Passkey).where(*unused).values(**changes))
        if used.rowcount == 0:
            raise PasskeyUnknown
        await audit.record(session, user, "use passkey", "Passkey", passkey.id, {"name": passkey.name}, client=client)
    return user
