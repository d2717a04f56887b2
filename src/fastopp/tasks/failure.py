"""Format any exception as a text to store: short, and without secrets."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from fastopp.errors import FastOppError
from fastopp.settings import Settings
from fastopp.tasks.limits import MAX_ERROR

_FRAMES = 6  # of the traceback, the last ones: where it happened
_MASK = "***"
_SHORTEST_SECRET = 6  # characters; masking every "a" would leave no message


def describe(error: BaseException, settings: Settings) -> str:
    """`Type: message`, and below it where it was raised. The settings' secrets in it are masked."""
    lines = [_headline(error)[: MAX_ERROR // 2]]
    if isinstance(error, BaseExceptionGroup):
        lines += [f"- {_headline(each)[:500]}" for each in error.exceptions[:5]]
    if error.__cause__ is not None:
        lines.append(f"Caused by {_headline(error.__cause__)[:1000]}")
    frames = "".join(traceback.format_tb(error.__traceback__, limit=-_FRAMES)).rstrip()
    room = MAX_ERROR - sum(map(len, lines)) - len(lines)
    if frames and room > 0:
        lines.append(frames[-room:])
    return mask("\n".join(lines), settings)


def mask(text: str, settings: Settings) -> str:
    """The text without the settings' secrets, and without what a database cannot store."""
    for secret in known_secrets(settings):
        text = text.replace(secret, _MASK)
    return storable(text)


def storable(text: str) -> str:
    """The text without NUL and halves of surrogate pairs, which databases refuse."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode()


def _headline(error: BaseException) -> str:
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the edge: foreign code's __str__
        message = "(its message cannot be made)"
    if isinstance(error, FastOppError):
        return message or name
    return f"{name}: {message}" if message else name


def known_secrets(settings: Settings) -> Iterator[str]:
    """Yield the secrets of the settings that are long enough to be masked, the longest first."""
    texts = [*settings.secrets()]
    if (password := settings.database.password) is not None:
        texts.append(password)
    # The longest first: a password is part of the URL that holds it.
    yield from sorted((text for text in texts if len(text) >= _SHORTEST_SECRET), key=len, reverse=True)
