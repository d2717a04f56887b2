"""Set up a second factor, remove it, and make new recovery codes. Each is recorded, and its owner gets a mail."""

from __future__ import annotations

from sqlmodel import col, delete, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.runtime import Runtime
from fastopp.database.upsert import insert
from fastopp.errors import Conflict, FastOppError
from fastopp.features.accounts import audit
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.factors import notify_owner
from fastopp.features.accounts.models import User
from fastopp.features.accounts.user_sessions import lock_account
from fastopp.features.mail.service import Mail
from fastopp.features.second_factor.codes import clean, digest_of, is_app_code, matching_step, new_recovery_codes
from fastopp.features.second_factor.encryption import encrypt
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor


class AlreadySetUp(Conflict):
    """This account has a second factor."""

    hint = "Remove it first, to set up another one."


class FirstCodeWrong(FastOppError):
    """The code does not fit."""

    status = 422
    hint = "Scan the QR code again, and check that the time of your phone is right."


async def set_up(
    session: AsyncSession, runtime: Runtime, user: User, secret: bytes, code: str, client: Client, mail: Mail
) -> list[str]:
    """Give an account a second factor whose app shows `code` at present, and return its recovery codes.

    The code cannot be used again. Raises FirstCodeWrong, AlreadySetUp, AccountChanged.
    """
    given = clean(code)
    step = matching_step(secret, given, runtime.clock.time()) if is_app_code(given) else None
    if step is None:
        raise FirstCodeWrong
    await lock_account(session, user)
    row = SecondFactor(
        user_id=user.id,
        secret=encrypt(secret, user.id, runtime.settings),
        last_step=step,
        created_at=runtime.clock.now(),
    )
    statement = insert(session, SecondFactor).values(**row.model_dump())
    statement = statement.on_conflict_do_nothing(index_elements=["user_id"])
    if (await session.exec(statement.returning(col(SecondFactor.user_id)))).first() is None:
        raise AlreadySetUp
    codes = await _replace_codes(session, user, clock=runtime.clock)
    await audit.record(session, user, "add second factor", "User", user.id, client=client)
    await notify_owner(mail, user, "second factor added", client)
    return codes


async def renew_recovery_codes(
    session: AsyncSession, user: User, client: Client, mail: Mail, *, clock: Clock = SYSTEM_CLOCK
) -> list[str]:
    """Return new recovery codes; those from before end. Raises AccountChanged."""
    await lock_account(session, user)
    codes = await _replace_codes(session, user, clock=clock)
    await audit.record(session, user, "new recovery codes", "User", user.id, client=client)
    await notify_owner(mail, user, "new recovery codes", client)
    return codes


async def remove(session: AsyncSession, user: User, client: Client, mail: Mail) -> None:
    """Remove an account's second factor and its recovery codes. Raises AccountChanged."""
    await lock_account(session, user)
    for model in (SecondFactor, RecoveryCode):
        await session.exec(delete(model).where(col(model.user_id) == user.id))
    await audit.record(session, user, "remove second factor", "User", user.id, client=client)
    await notify_owner(mail, user, "second factor removed", client)


async def count_recovery_codes(session: AsyncSession, user: User) -> int:
    """Return the number of recovery codes that are left."""
    statement = select(func.count()).select_from(RecoveryCode).where(col(RecoveryCode.user_id) == user.id)
    return (await session.exec(statement)).one()


async def _replace_codes(session: AsyncSession, user: User, *, clock: Clock) -> list[str]:
    await session.exec(delete(RecoveryCode).where(col(RecoveryCode.user_id) == user.id))
    codes = new_recovery_codes()
    rows = [RecoveryCode(user_id=user.id, digest=digest_of(code), created_at=clock.now()) for code in codes]
    session.add_all(rows)
    await session.flush()
    return codes
