"""Entity tags: short texts that change with an answer, by which a client asks whether its copy is current."""

from __future__ import annotations

import hashlib
import json

WEAK = "W/"


def tag_of_body(body: bytes, nonce: str | None = None) -> str:
    """Return the tag of a body, regardless of the nonce in it. Weak: the body may be compressed in several ways."""
    content = body.replace(nonce.encode(), b"") if nonce else body
    return f'{WEAK}"{hashlib.sha256(content).hexdigest()[:24]}"'


def tag_of_version(*parts: object) -> str:
    """Return the tag of an answer that depends on these parts alone."""
    return f'{WEAK}"{hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:24]}"'


def has(if_none_match: str, tag: str) -> bool:
    """Return whether the header If-None-Match names the tag, by weak comparison (RFC 9110, 13.1.2)."""
    if if_none_match.strip() == "*":
        return True
    wanted = tag.removeprefix(WEAK)
    return any(given.strip().removeprefix(WEAK) == wanted for given in if_none_match.split(","))
