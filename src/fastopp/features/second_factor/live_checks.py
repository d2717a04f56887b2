"""A check of the second factors' secrets."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.database.errors import TablesMissing
from fastopp.database.session import Database
from fastopp.features.second_factor.renewal import count_old


@check(
    "fastopp.W135",
    "Second factors need the previous SECRET_KEY",
    fix="Run `python oppman.py user renew-factors`, or the task `renew-secrets`, before you remove it.",
    subject=Subject.ACCOUNTS,
    mode=Mode.LIVE,
)
async def need_the_previous_key(context: CheckContext) -> AsyncIterator[Problem]:
    """Their secrets are encrypted with SECRET_KEY_PREVIOUS. Without it these accounts sign in with a recovery code, or
    have their second factor reset."""
    settings = context.database_settings
    if not settings.secret_key_previous.get_secret_value():
        return
    database = Database.from_settings(settings)
    try:
        async with database.read() as session:
            old = await count_old(session, settings)
    except TablesMissing as error:
        raise CannotCheck("There is no table of second factors yet.") from error
    finally:
        await database.dispose()
    if old:
        yield Problem(f"Second factors that are encrypted with SECRET_KEY_PREVIOUS: {old}.")
