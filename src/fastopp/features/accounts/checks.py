"""A check for accounts with published passwords."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.database.errors import TablesMissing
from fastopp.database.session import Database
from fastopp.features.accounts.passwords import verify_password
from fastopp.features.accounts.service import list_users
from fastopp.settings.weak_secrets import PUBLISHED_PASSWORDS

MOST = 200  # accounts that are looked at: a comparison takes 20 ms and more, on purpose


@check(
    "fastopp.E131",
    "An account has a published password",
    fix="Run `python oppman.py change_password`, or delete the account.",
    subject=Subject.ACCOUNTS,
    mode=Mode.LIVE,
)
async def known_passwords(context: CheckContext) -> AsyncIterator[Problem]:
    """The docs contain the passwords of the demo accounts. Use them on a developer's machine only."""
    settings = context.database_settings
    if settings.development:
        return
    database = Database.from_settings(settings)
    try:
        async with database.read() as session:
            users = [user for user in await list_users(session) if user.is_active]
    except TablesMissing as error:
        raise CannotCheck("There is no table of accounts yet.") from error
    finally:
        await database.dispose()
    # Those with rights first.
    users.sort(key=lambda user: not (user.is_superuser or user.is_staff))
    for user in users[:MOST]:
        for password in PUBLISHED_PASSWORDS:
            if (await verify_password(password, user.hashed_password)).matches:
                yield Problem(f"{user.email} has a password that is published in the docs.")
                break
