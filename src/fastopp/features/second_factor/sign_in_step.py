"""The step between the password and the session, as `accounts.sign_in_steps` asks for it."""

from __future__ import annotations

from fastopp.core.runtime import Runtime
from fastopp.errors import Forbidden, Unauthorized
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.factors import find_factors, is_required_of
from fastopp.features.accounts.models import User
from fastopp.features.accounts.settings import AccountSettings

CODE_PAGE = "/login/second-factor"
SET_UP_PAGE = "/login/second-factor/set-up"
PASSKEY_PAGE = "/login/passkey"


class CodeMissing(Unauthorized):
    """This account needs the code of its second factor too."""

    hint = "Send it in the form field `otp`."


class SecondFactorMissing(Forbidden):
    """This account has to set up a second factor first."""

    hint = "Sign in at /login to set it up, or use an API token."


async def page_for(runtime: Runtime, user: User) -> str | None:
    """Return the page for a code, or the one that sets a second factor up if the account needs one.

    An account that has only a passkey, and needs a second factor, signs in with the passkey. Otherwise a stolen
    password would be enough to give it another one.
    """
    has_code, has_passkey = await find_factors(runtime, user.id)
    if has_code:
        return CODE_PAGE
    if is_required_of(user, runtime.settings):
        usable = has_passkey and runtime.settings.of(AccountSettings).passkeys
        return PASSKEY_PAGE if usable else SET_UP_PAGE
    return None


async def check_code(runtime: Runtime, user: User, code: str, client: Client) -> None:
    """Check the code of a program. Raises CodeMissing, SecondFactorMissing, and what `checking.check_code` raises."""
    has_code, _ = await find_factors(runtime, user.id)
    if not has_code:
        if is_required_of(user, runtime.settings):
            raise SecondFactorMissing
        return
    if not code.strip():
        raise CodeMissing
    from fastopp.features.second_factor import checking  # noqa: PLC0415 - imported for accounts with a factor only

    await checking.check_code(runtime, user, code, client)
