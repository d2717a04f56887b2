"""Device cookies: a browser that has signed in to an account before is counted apart from everyone else.

Without them, wrong guesses from anywhere keep the owner of an account out. Source: OWASP, Slow Down Online Guessing
Attacks with Device Cookies (https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies).
The cookie grants nothing: it says only in which count a wrong password goes.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from typing import TYPE_CHECKING, NamedTuple

from fastapi import Request, Response

from fastopp.features.accounts.models import User
from fastopp.settings import Settings
from fastopp.web.cookies import read_cookie, set_cookie

if TYPE_CHECKING:
    from itsdangerous import URLSafeTimedSerializer

DEVICE_COOKIE = "device"
LIFETIME = 180 * 24 * 60 * 60  # seconds since the latest sign-in
MAX_COOKIE = 300  # characters; more is not ours

_NAME_BYTES = 12


class Device(NamedTuple):
    """A browser, by a random name, and the account that it has signed in to."""

    user_id: uuid.UUID
    name: str


def remember_device(request: Request, response: Response, user: User, settings: Settings) -> None:
    """Mark the browser as one that has signed in to this account."""
    value = _serializer(settings).dumps([str(user.id), secrets.token_urlsafe(_NAME_BYTES)])
    set_cookie(request, response, DEVICE_COOKIE, str(value), max_age=LIFETIME)


def read_device(request: Request, settings: Settings) -> Device | None:
    """Return the device whose genuine cookie the request carries."""
    from itsdangerous import BadData  # noqa: PLC0415 - as below

    value = read_cookie(request, DEVICE_COOKIE)
    if value is None or len(value) > MAX_COOKIE:
        return None
    try:
        user_id, name = _serializer(settings).loads(value, max_age=LIFETIME)
        return Device(uuid.UUID(user_id), name)
    except (BadData, ValueError):
        return None


def _serializer(settings: Settings) -> URLSafeTimedSerializer:
    from itsdangerous import URLSafeTimedSerializer  # noqa: PLC0415 - only a sign-in needs it

    return URLSafeTimedSerializer(
        settings.signing_keys,
        salt="fastopp device cookie v1",
        signer_kwargs={"digest_method": hashlib.sha256},
    )
