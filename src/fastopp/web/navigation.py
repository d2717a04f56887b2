"""The menu: its sections, the framework's own items, and what a visitor may open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fastopp.core.apps import NavItem

SECTIONS = {"pages": "Pages", "demos": "Demos", "management": "Management"}  # of the menu, in order

# The framework's own part of the menu, after what the apps bring.
MANAGEMENT = (
    NavItem("Admin panel", "/admin/", "management", "staff"),
    NavItem("Oppman", "/oppman/", "management", "superuser"),
    NavItem("Oppdemo", "/oppdemo/", "management", "superuser"),
    NavItem("Monitor", "/oppman/monitor", "management", "superuser"),
)


class MenuItem(Protocol):
    """One line of the menu; `fastopp.core.apps.NavItem` is one."""

    @property
    def label(self) -> str: ...  # noqa: D102 - the names say it
    @property
    def href(self) -> str: ...  # noqa: D102
    @property
    def section(self) -> str: ...  # noqa: D102
    @property
    def requires(self) -> str | None: ...  # noqa: D102


class Account(Protocol):
    """The user who sees the menu, as far as it cares; `fastopp.features.accounts.models.User` is one."""

    is_superuser: bool
    is_staff: bool


def visible_navigation(items: Sequence[MenuItem], user: Account | None) -> list[dict[str, Any]]:
    """The menu's sections with what `user` may open; a section with nothing in it is left out."""
    superuser = user is not None and user.is_superuser
    staff = superuser or (user is not None and user.is_staff)
    allowed = {None: True, "user": user is not None, "staff": staff, "superuser": superuser}
    sections = []
    for key, label in SECTIONS.items():
        shown = [item for item in items if item.section == key and allowed.get(item.requires, False)]
        if shown:
            sections.append({"key": key, "label": label, "items": shown})
    return sections
