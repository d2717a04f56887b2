"""Compare the variables of two places, of which neither sends the other a value.

A fingerprint is an HMAC-SHA256 of name and value. Its key is made from OPS_TOKEN, which both places have, and a nonce,
so that an observer can neither try values nor recognise one later. The site answers by names alone: what it has is
never sent, not even as a fingerprint.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple

_PURPOSE: Final = b"fastopp environment fingerprints v1\0"
NONCE_BYTES: Final = 16

Verdict = Literal["same", "different", "quoted", "missing"]


class Comparison(NamedTuple):
    """The outcome for each name; `extra` are those that only the site has."""

    verdicts: dict[str, Verdict]
    extra: list[str]

    def __bool__(self) -> bool:
        """Whether something differs."""
        return bool(self.extra) or any(verdict != "same" for verdict in self.verdicts.values())


def fingerprints(variables: Mapping[str, str], token: str, nonce: bytes) -> dict[str, str]:
    """Return the fingerprint of each variable that has a value, by its name in capitals."""
    key = hmac.digest(token.encode(), _PURPOSE + nonce, hashlib.sha256)
    present = {name.upper(): value.strip() for name, value in variables.items()}
    return {name: _fingerprint(key, name, value) for name, value in present.items() if value}


def compare(
    given: Mapping[str, str], own: Mapping[str, str], known: Iterable[str], token: str, nonce: bytes
) -> Comparison:
    """Compare fingerprints with this place's variables.

    Parameters
    ----------
    own: all of them.
    known: the names of those that are reported as extra if no fingerprint was given.
    """
    ours = {name.upper(): value.strip() for name, value in own.items() if value.strip()}
    mine = fingerprints(ours, token, nonce)
    bare = fingerprints({name: value[1:-1] for name, value in ours.items() if _is_quoted(value)}, token, nonce)
    verdicts: dict[str, Verdict] = {}
    for name, fingerprint in given.items():
        if name not in mine:
            verdicts[name] = "missing"
        elif hmac.compare_digest(fingerprint.encode(errors="surrogatepass"), mine[name].encode()):
            verdicts[name] = "same"
        else:
            verdicts[name] = "quoted" if bare.get(name) == fingerprint else "different"
    return Comparison(verdicts, sorted({name.upper() for name in known} & mine.keys() - given.keys()))


def _fingerprint(key: bytes, name: str, value: str) -> str:
    return hmac.digest(key, f"{name}\0{value}".encode(errors="surrogatepass"), hashlib.sha256).hex()


def _is_quoted(value: str) -> bool:
    return len(value) > 2 and value[0] == value[-1] and value[0] in "'\""
