"""Check codes at sign-in: each is good for one use, and failures are counted and locked like those of passwords."""

from __future__ import annotations

from datetime import timedelta

from fastapi import Request
from sqlmodel import col, delete, update
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.runtime import Runtime
from fastopp.errors import Unauthorized
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.factors import mail_of, notify_owner
from fastopp.features.accounts.lockout import (
    TooManyAttempts,
    address_subject,
    factor_subject,
    forget,
    read_standing,
    record_failure,
)
from fastopp.features.accounts.models import User
from fastopp.features.accounts.user_sessions import lock_account
from fastopp.features.mail.service import open_mail
from fastopp.features.second_factor.codes import clean, digest_of, is_app_code, matching_step
from fastopp.features.second_factor.encryption import decrypt, renew
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor


class WrongCode(Unauthorized):
    """The code is wrong, or was used already."""

    hint = "Wait for the next code of your app, and check that the time of your phone is right."


async def check_code(runtime: Runtime, user: User, code: str, client: Client, request: Request | None = None) -> None:
    """Use up a code of an account's app, or one of its recovery codes. Of simultaneous uses one succeeds.

    Raises
    ------
    WrongCode: counted, for the account and for the address.
    TooManyAttempts: either is locked; the code was not looked at.
    SecretUnreadable: of the app's codes, after a new SECRET_KEY.
    AccountChanged, DatabaseUnavailable.
    """
    given = clean(code)
    own, address = factor_subject(user.id), address_subject(client.address)
    wait: timedelta | None = None
    async with runtime.database.transaction() as session:
        # One attempt at an account at a time: guesses sent all at once would pass the check for a lock together.
        await lock_account(session, user)
        standing = await read_standing(session, own, address, clock=runtime.clock)
        wait = standing.locked_for
        fits = wait is None and await _use(session, runtime, user, given)
        if fits:
            await forget(session, own)
            kind = "use second factor" if is_app_code(given) else "use recovery code"
            await audit.record(session, user, kind, "User", user.id, client=client)
            if kind == "use recovery code":
                mail = mail_of(request, runtime, session) if request else open_mail(runtime, session)
                await notify_owner(mail, user, "recovery code used", client)
        elif wait is None:
            await record_failure(session, own, address, clock=runtime.clock)
            await audit.record(session, user, "second factor failed", "User", user.id, client=client)
    if wait is not None:
        raise TooManyAttempts(wait)
    if not fits:
        raise WrongCode


async def _use(session: AsyncSession, runtime: Runtime, user: User, code: str) -> bool:
    if not is_app_code(code):
        same = col(RecoveryCode.user_id) == user.id, col(RecoveryCode.digest) == digest_of(code)
        used: int = (await session.exec(delete(RecoveryCode).where(*same))).rowcount
        return used > 0
    factor = await session.get(SecondFactor, user.id)
    if factor is None:
        return False
    secret = decrypt(factor.secret, user.id, runtime.settings)
    step = matching_step(secret, code, runtime.clock.time())
    if step is None:
        return False
    unused = col(SecondFactor.user_id) == user.id, col(SecondFactor.last_step) < step
    values = {"last_step": step, "last_used_at": runtime.clock.now()}
    if renewed := renew(factor.secret, user.id, runtime.settings):
        values["secret"] = renewed
    changed = await session.exec(update(SecondFactor).where(*unused).values(**values))
    return changed.rowcount > 0
