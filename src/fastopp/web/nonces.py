"""The nonce of a page: browsers run the inline scripts that carry it, and no others.

See https://www.w3.org/TR/CSP3/#framework-directive-source-list.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

HEADER: Final = "X-CSP-Nonce"  # app.js sends it with htmx's requests

_OURS: Final = re.compile(r"[A-Za-z0-9_-]{22}")


def page_nonce(request: Request) -> str:
    """Return the nonce of this response.

    A fragment for htmx gets the nonce of the page that it becomes a part of. No other site can send that header.
    """
    known: str | None = nonce_of(request.scope)
    if known is None:
        sent = request.headers.get(HEADER, "") if "hx-request" in request.headers else ""
        known = sent if _OURS.fullmatch(sent) else secrets.token_urlsafe(16)
        request.state.csp_nonce = known
    return known


def nonce_of(scope: Scope) -> str | None:
    """Return the nonce that a page of this request has used, if any."""
    found: str | None = scope.get("state", {}).get("csp_nonce")
    return found
