"""Password hashes: Argon2id for new ones, bcrypt and older Argon2 parameters still verified.

Parameters: OWASP Password Storage Cheat Sheet, Argon2id with m=19 MiB, t=2, p=1
(https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html). FastOpp 0.4.8 wrote
m=64 MiB, t=3, p=4; such a hash is replaced at the next sign-in.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from typing import TYPE_CHECKING, NamedTuple

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

from fastopp.errors import FastOppError
from fastopp.web.languages import Message

if TYPE_CHECKING:
    from pwdlib.hashers.argon2 import Argon2Hasher

MEMORY_COST = 19 * 1024  # KiB
TIME_COST = 2  # passes over that memory
PARALLELISM = 1  # threads; a small instance has less than one core

MAX_PASSWORD = 1024  # bytes; otherwise a body of megabytes would be hashed

# A hash takes 19 MiB while it is computed, one of FastOpp 0.4.8's takes 64 MiB, and the smallest serverless
# instances have 128 MiB altogether. Two also fill the cores of any small machine.
CONCURRENT_HASHES = 2

BCRYPT_PREFIXES = ("$2a$", "$2b$", "$2y$")
BCRYPT_SIGNIFICANT = 72  # bytes; bcrypt ignores the rest, and its library now refuses more

# A hash of unknown random bytes: verifying it takes as long as verifying a real one.
NOBODYS_HASH = "$argon2id$v=19$m=19456,t=2,p=1$U3Q9l2mGrxIG+uPjqrtK/A$d1cQVnFQmVSuMZ3HFUGqKrzHyFkYEqDNlLDx/kDl8yU"

# The salt of hashes that no password fits. A random salt of sixteen bytes does not begin like it.
_NO_PASSWORD = b"no password!"
_NO_PASSWORD_PREFIX = f"$argon2id$v=19$m={MEMORY_COST},t={TIME_COST},p={PARALLELISM}${b64encode(_NO_PASSWORD).decode()}"

# The limiter of the running event loop; anyio keeps its own in the same way.
_limiter: RunVar[CapacityLimiter] = RunVar("fastopp_password_hashes")


class PasswordRejected(FastOppError):
    """This password cannot be used."""

    status = 422


class Verification(NamedTuple):
    """Whether a password fits a hash; `replacement` is a hash to store instead, when the old one is out of date."""

    matches: bool
    replacement: str | None = None


def check_encoding(password: str) -> None:
    """Raise PasswordRejected if this is too long or no text."""
    _encode(password)


async def hash_password(password: str) -> str:
    """A new hash of any password, computed off the event loop. Raises PasswordRejected.

    For seeds, whose passwords are known. `password_policy.hash_new_password` is for passwords that people set.
    """
    return await to_thread.run_sync(_hash, _encode(password), limiter=_hashes())


async def verify_password(password: str, hashed: str) -> Verification:
    """Compare off the event loop. A hash of an unknown kind fits no password. Raises PasswordRejected: too long."""
    return await to_thread.run_sync(_verify, _encode(password), hashed, limiter=_hashes())


async def verify_nobody(password: str) -> None:
    """Take as long as `verify_password`, so that the response time does not reveal whether the account exists."""
    await verify_password(password, NOBODYS_HASH)


def unusable_hash() -> str:
    """Return a hash for an account without a password. Its verification takes as long as that of any other.

    Each is different, since sign-in tokens depend on the hash.
    """
    salt, digest = _NO_PASSWORD + secrets.token_bytes(4), secrets.token_bytes(32)
    written = (b64encode(part).decode().rstrip("=") for part in (salt, digest))
    return f"$argon2id$v=19$m={MEMORY_COST},t={TIME_COST},p={PARALLELISM}${'$'.join(written)}"


def has_password(hashed: str) -> bool:
    """Return whether some password may fit a hash, which `unusable_hash` did not make."""
    return not hashed.startswith(_NO_PASSWORD_PREFIX)


def _encode(password: str) -> bytes:
    try:
        encoded = password.encode()
    except UnicodeEncodeError:
        raise PasswordRejected(Message("The password contains characters that are not text.")) from None
    if len(encoded) > MAX_PASSWORD:
        raise PasswordRejected(
            Message("The password is too long: %(most)s bytes are allowed.", most=f"{MAX_PASSWORD:,}")
        )
    return encoded


def _hashes() -> CapacityLimiter:
    try:
        return _limiter.get()
    except LookupError:
        limiter = CapacityLimiter(CONCURRENT_HASHES)
        _limiter.set(limiter)
        return limiter


def _argon2() -> Argon2Hasher:
    from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415 - 24 ms that most requests do not need

    return Argon2Hasher(time_cost=TIME_COST, memory_cost=MEMORY_COST, parallelism=PARALLELISM)


def _hash(password: bytes) -> str:
    return _argon2().hash(password)


def _verify(password: bytes, hashed: str) -> Verification:
    argon2 = _argon2()
    try:
        if hashed.startswith(BCRYPT_PREFIXES):
            from pwdlib.hashers.bcrypt import BcryptHasher  # noqa: PLC0415 - only for accounts older than Argon2

            matches, outdated = BcryptHasher().verify(password[:BCRYPT_SIGNIFICANT], hashed), True
        else:
            matches = argon2.identify(hashed) and argon2.verify(password, hashed)
            outdated = matches and argon2.check_needs_rehash(hashed)
    except ValueError:  # a damaged hash: both libraries say so in their own ways, all of them ValueErrors
        return Verification(matches=False)
    return Verification(matches, argon2.hash(password) if matches and outdated else None)
