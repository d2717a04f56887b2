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
HOME_PAGE = "/"
NEVER_NEXT = ("/login", "/logout")  # a circle, and out again
NEVER_BELOW = "/login/"  # steps of a sign-in, each good for one use


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
    if path.rstrip("/") in NEVER_NEXT or path.startswith(NEVER_BELOW):
        return None
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def page_after_sign_in(user: User, request: Request, wanted: str = "") -> str:
    """Return the page to go to: `wanted`, if it is on this site and the user's role may see it, or the landing page."""
    asked = safe_next(wanted, request)
    if asked is None or (not _is_staff(user) and _for_staff(asked)):
        return landing_page(user, request)
    return asked


def landing_page(user: User, request: Request) -> str:
    """Return the page that suits the user's role: the first one in the menu of the apps that is for this role.

    Users without a role go to the first page that is for users, or to the home page.
    """
    if user.is_superuser and _exists(request, SUPERUSER_PAGE):
        return SUPERUSER_PAGE
    role, fallback = ("staff", FALLBACK_PAGE) if _is_staff(user) else ("user", HOME_PAGE)
    menu = getattr(request.app.state, "navigation", ())
    pages = (item.href for item in menu if item.requires == role and item not in MANAGEMENT)
    return next((page for page in pages if _exists(request, page)), fallback)


def _is_staff(user: User) -> bool:
    return user.is_staff or user.is_superuser


def _for_staff(path: str) -> bool:
    place = unquote(urlsplit(path).path).rstrip("/") + "/"
    return place.startswith((*(item.href for item in MANAGEMENT), f"{FALLBACK_PAGE}/"))


def _exists(request: Request, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
