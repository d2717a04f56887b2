"""The names of FastOpp 0.4.8, and where they are now."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """A name in a module."""

    module: str
    name: str


_ADOPTED = "fastopp.features.adopted"
_ACCESS = {
    name: Place(f"{_ADOPTED}.accounts", now)
    for name, now in {
        "get_current_user": "get_current_user",
        "get_current_user_from_cookies": "get_current_user",
        "get_current_user_from_authorization_header": "get_current_user",
        "get_current_staff_or_admin": "get_current_staff_or_admin",
        "get_current_staff_or_admin_from_cookies": "get_current_staff_or_admin",
        "get_current_staff_or_admin_from_authorization_header": "get_current_staff_or_admin",
        "get_current_superuser": "get_current_superuser",
        "get_current_superuser_from_cookies": "get_current_superuser",
        "get_current_superuser_from_authorization_header": "get_current_superuser",
    }.items()
}
_TEMPLATES = {"Jinja2Templates": Place(f"{_ADOPTED}.pages", "Jinja2Templates")}
_SETTINGS = {"get_settings": Place(f"{_ADOPTED}.accounts", "get_settings"), "Settings": Place("fastopp", "Settings")}
_SESSION = {"get_db_session": Place(f"{_ADOPTED}.sessions", "get_db_session")}

_RENAMED = {
    "db": {"AsyncSessionLocal": Place(f"{_ADOPTED}.sessions", "AsyncSessionLocal")},
    "dependencies.database": _SESSION,
    "dependencies.config": _SETTINGS,
    "dependencies.auth": _ACCESS,
    "dependencies": _SESSION | _SETTINGS | _ACCESS,
    "core.services.auth": _ACCESS,
    "core.services.auth.core": _ACCESS,
    "core.services.auth.dependencies": _ACCESS,
    "core.services.template_context": {
        "get_template_context": Place(f"{_ADOPTED}.pages", "get_template_context"),
    },
    "fastapi_users.password": {"PasswordHelper": Place(f"{_ADOPTED}.accounts", "PasswordHelper")},
    "fastapi.templating": _TEMPLATES,
    "starlette.templating": _TEMPLATES,
    "sqladmin": {"ModelView": Place("fastopp", "AdminView")},
}

MODELS = {
    "User": Place("fastopp", "User"),
    "AuditLog": Place("fastopp.features.accounts.models", "AuditLog"),
    "Product": Place("demo.products.models", "Product"),
    "WebinarRegistrants": Place("demo.webinars.models", "WebinarRegistrant"),
}
"""The model classes of FastOpp 0.4.8."""


def is_renamed(module: str, name: str) -> bool:
    """Return whether the framework has this name in another place now."""
    return name in _RENAMED.get(module, {})


def place_now(module: str, name: str) -> Place | None:
    """Return where the framework has this name now."""
    return _RENAMED.get(module, {}).get(name)
