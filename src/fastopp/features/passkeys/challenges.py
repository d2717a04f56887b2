"""Challenges: random bytes that a passkey signs. One waits in the browser's signed session, for one use.

It is good for five minutes. The browser could send an old cookie again. So a passkey's row has the time of the newest
challenge that it has answered, and a new passkey has an id that exists once.
"""

from __future__ import annotations

import base64
import secrets
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from fastapi import Request

from fastopp.clock import Clock

Purpose = Literal["register", "sign in"]

KEY = "passkey_challenge"  # in the browser's session
LIFETIME = timedelta(minutes=5)
CHALLENGE_BYTES = 32


class Challenge(NamedTuple):
    """A challenge, and when it was made."""

    value: bytes
    made_at: datetime


def make_challenge(request: Request, purpose: Purpose, subject: str, clock: Clock) -> bytes:
    """Put a new challenge into the session. `subject` is the account that it is for, or empty."""
    value = secrets.token_bytes(CHALLENGE_BYTES)
    request.session[KEY] = {
        "value": base64.b64encode(value).decode(),
        "at": clock.now().isoformat(),
        "for": [purpose, subject],
    }
    return value


def take_challenge(request: Request, purpose: Purpose, subject: str, clock: Clock) -> Challenge | None:
    """Take the challenge out of the session. None if there is none, it is too old, or for something else."""
    note = request.session.pop(KEY, None)
    if not isinstance(note, dict) or note["for"] != [purpose, subject]:
        return None
    made_at = datetime.fromisoformat(note["at"])
    if not timedelta() <= clock.now() - made_at < LIFETIME:
        return None
    return Challenge(base64.b64decode(note["value"]), made_at)
