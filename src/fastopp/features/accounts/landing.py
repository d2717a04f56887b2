"""Choose the page after signing in: the one that asked for it, if that is one of ours, otherwise a fitting one."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from fastapi import Request
from starlette.routing import Match

from fastopp.features.accounts.models import User
from fastopp.web.navigation import MANAGEMENT

MAX_NEXT = 2000  # characters; the address returns in a response header, which platforms limit
SUPERUSER_PAGE = "/oppman/"
FALLBACK_PAGE = "/protected"
NEVER_NEXT = ("/login", "/logout")  # a circle, and out again


def safe_next(text: str, request: Request) -> str | None:
    """`text` as a path with its query on this site; None when it leads elsewhere, or might in some browser.

    An absolute address of this very site is reduced to its path.
    """
    # Browsers read a backslash as a slash and drop tabs and line ends, so none may be there to be read otherwise.
    if not text or len(text) > MAX_NEXT or not text.isprintable() or "\\" in text or " " in text:
        return None
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    own = parts.scheme in ("http", "https") and parts.netloc.lower() == request.url.netloc.lower()
    if not own and (not text.startswith("/") or text.startswith("//")):
        return None
    # Proxies may decode a path before they compare or forward it.
    path = unquote(parts.path) or "/"
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        return None
    if path.rstrip("/") in NEVER_NEXT:
        return None
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def landing_page(user: User, request: Request) -> str:
    """Return the page that suits the user's role: for staff, the first page for staff in the menu of the apps."""
    if user.is_superuser and _exists(request, SUPERUSER_PAGE):
        return SUPERUSER_PAGE
    menu = getattr(request.app.state, "navigation", ())
    pages = (item.href for item in menu if item.requires == "staff" and item not in MANAGEMENT)
    return next((page for page in pages if _exists(request, page)), FALLBACK_PAGE)


def _exists(request: Request, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
