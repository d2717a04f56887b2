"""Recognise secrets, keys and passwords, that are easy to guess although they are long enough."""

from __future__ import annotations

from functools import cache

MIN_VARIETY = 8  # different characters of a key; random ones of 24 characters practically always have more

# Of accounts in FastOpp's documents, those of 0.4.8 included: databases of that version may have them.
PUBLISHED_PASSWORDS = ("admin123", "test123")

# Parts of the most common passwords (https://github.com/danielmiessler/SecLists, 10k-most-common) and of examples.
COMMON = (
    "password",
    "passwort",
    "changeme",
    "change-me",
    "letmein",
    "welcome",
    "iloveyou",
    "superuser",
    "administrator",
    "admin",
    "secret",
    "login",
    "master",
    "monkey",
    "dragon",
    "football",
    "example",
    "admin123",
    "test123",
    "secret123",
    "abc123",
)
_ROWS = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop")
_LEET = str.maketrans("0134578@$!", "oleastbasi")


def weakness_of_key(key: str) -> str | None:
    """Return why a key can be guessed, as a sentence; None if nothing speaks for it."""
    if len(set(key)) < MIN_VARIETY:
        return "It has too few different characters."
    if _repeats(key):
        return "It repeats itself."
    # What is left without the common parts has to be long enough by itself.
    rest = _without_common(key)
    if len(rest) < len(key) and len(rest) < 16:
        return "It consists of common words and character sequences."
    return None


def weakness_of_password(password: str, email: str = "") -> str | None:
    """Return why a password can be guessed, as a sentence; None if nothing speaks for it."""
    if len(set(password.lower())) < 5 or _repeats(password):
        return "It repeats itself."
    name = email.partition("@")[0].lower()
    rest = min((_without_common(text) for text in (password, password.translate(_LEET))), key=len)
    if len(name) > 2:
        rest = rest.replace(name, "")
    if len(rest.strip("0123456789!?.-_ ")) < 4:
        return "It is a common password, or derived from the email address."
    return None


def _without_common(text: str) -> str:
    rest = text.lower()
    for part in COMMON:
        rest = rest.replace(part, "")
    return _without_rows(rest)


def _without_rows(text: str) -> str:
    """Return the text without rows of the alphabet, the digits and the keyboard, in either direction."""
    for part in _parts_of_rows():
        text = text.replace(part, "")
    return text


@cache
def _parts_of_rows() -> tuple[str, ...]:
    """Return every part of a row with four characters or more, which may go on at the row's beginning."""
    lines = [(len(row), line) for row in _ROWS for line in (row + row, (row + row)[::-1])]
    return tuple(
        line[start : start + length] for size, line in lines for length in range(size, 3, -1) for start in range(size)
    )


def _repeats(text: str) -> bool:
    return text in (text + text)[1:-1]
