"""The form field in which the script sends the browser's answer."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import Form

from fastopp.web.forms import CleanText

MAX_CREDENTIAL = 16_000  # characters; with an attestation some 4,000

Credential = Annotated[CleanText, Form(max_length=MAX_CREDENTIAL)]


def read_credential(text: str) -> dict[str, Any] | None:
    """Return the browser's answer; None if the text is none."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return read if isinstance(read, dict) else None
