"""The user of a request, and password hashes, as the code of FastOpp 0.4.8 asks for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request

from fastopp.features.accounts import current_user as access
from fastopp.features.accounts.models import User
from fastopp.settings import Settings, load_settings
from fastopp.web.doors import guarded_by

if TYPE_CHECKING:
    from pwdlib import PasswordHash

MANAGERS = ("marketing", "sales")
"""The groups whose sessions had `can_manage_webinars` in FastOpp 0.4.8."""


@guarded_by(access.user_door)
async def get_current_user(request: Request) -> User:
    """Dependency, and function: the signed-in user, read in a separate short session. Raises NotSignedIn."""
    return await access.user_door(request)


@guarded_by(access.staff_door)
async def get_current_staff_or_admin(user: Annotated[User, Depends(get_current_user)]) -> User:
    """Dependency: staff or superuser. Raises NotSignedIn, StaffOnly."""
    return await access.staff_user(user)


@guarded_by(access.superuser_door)
async def get_current_superuser(user: Annotated[User, Depends(get_current_user)]) -> User:
    """Dependency: superuser. Raises NotSignedIn, SuperusersOnly."""
    return await access.superuser(user)


def get_settings() -> Settings:
    """Return the settings of the environment."""
    return load_settings()


def session_value(request: Request, key: str, default: object = None) -> Any:  # noqa: ANN401 - one of several types
    """Return what FastOpp 0.4.8 kept in the session of a signed-in user, from the user's row."""
    user: User | None = getattr(request.state, "user", None)
    if user is None:
        return default
    return {
        "is_authenticated": True,
        "is_superuser": user.is_superuser,
        "is_staff": user.is_staff,
        "user_id": str(user.id),
        "user_email": user.email,
        "group": user.group,
        "can_manage_webinars": user.is_superuser or user.group in MANAGERS,
    }.get(key, default)


class PasswordHelper:
    """Hashes and verifies passwords under the method names of fastapi-users."""

    def hash(self, password: str) -> str:
        """Return the hash of a password."""
        return _password_hash().hash(password)

    def verify_and_update(self, plain_password: str, hashed_password: str) -> tuple[bool, str | None]:
        """Return whether the password fits, and a newer hash if there is a better one."""
        return _password_hash().verify_and_update(plain_password, hashed_password)


def _password_hash() -> PasswordHash:
    from pwdlib import PasswordHash  # noqa: PLC0415 - 24 ms that most requests do not need
    from pwdlib.hashers.argon2 import Argon2Hasher  # noqa: PLC0415 - as above
    from pwdlib.hashers.bcrypt import BcryptHasher  # noqa: PLC0415 - as above

    return PasswordHash((Argon2Hasher(), BcryptHasher()))
