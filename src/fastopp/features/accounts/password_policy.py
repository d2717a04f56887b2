"""The passwords that may be set, wherever that is done: on a page, by a command, or by emergency access.

Passwords that exist go on working. Source of the rules: NIST SP 800-63B, 5.1.1.2: a minimum length and a list of
common passwords, and no demands on the kinds of characters.
"""

from __future__ import annotations

import re

from anyio import to_thread

from fastopp.features.accounts.passwords import PasswordRejected, check_encoding, hash_password
from fastopp.settings.weak_secrets import weakness_of_password
from fastopp.web.languages import Message

MIN_PASSWORD = 8  # characters
MIN_GUESSES = 10**6  # that zxcvbn expects to need: what it scores 0 or 1 (https://github.com/dropbox/zxcvbn#usage)
MAX_ABOUT = 400  # characters of the address and the name
LOOKED_AT = 40  # characters: its time grows faster than a password's length, and a weak one is short


async def check_new_password(password: str, email: str = "", name: str | None = None) -> None:
    """Raise PasswordRejected, with the reason, if this may not become the password of an account."""
    check_encoding(password)
    if len(password) < MIN_PASSWORD:
        raise PasswordRejected(
            Message("The password is too short: it needs at least %(least)s characters.", least=MIN_PASSWORD)
        )
    if why := weakness_of_password(password[:LOOKED_AT], email):
        raise PasswordRejected(Message("The password is too easy to guess. %(why)s", why=why))
    about = [part for part in re.split(r"\W+", f"{email} {name or ''}"[:MAX_ABOUT]) if len(part) > 2]
    about += [email[:LOOKED_AT]] if email else []
    # Off the event loop: it takes up to a tenth of a second.
    if await to_thread.run_sync(_guesses, password[:LOOKED_AT], about) < MIN_GUESSES:
        raise PasswordRejected(
            Message("The password is too easy to guess. It is a common password, or made of common parts.")
        )


async def hash_new_password(password: str, email: str = "", name: str | None = None) -> str:
    """Return the hash of a password that is being set. Raises PasswordRejected."""
    await check_new_password(password, email, name)
    return await hash_password(password)


def _guesses(password: str, about: list[str]) -> float:
    from zxcvbn import zxcvbn  # type: ignore[import-untyped] # noqa: PLC0415 - it has no types; 80 ms and more for its lists, which only a new password needs

    return float(zxcvbn(password, user_inputs=about)["guesses"])
