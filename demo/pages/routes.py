"""The home page."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from fastapi import APIRouter, Request, Response

from demo.pages import state
from fastopp.core.dependencies import ClockDep, DatabaseDep, SettingsDep
from fastopp.database.errors import DatabaseUnavailable
from fastopp.features.accounts.current_user import optional_user
from fastopp.features.accounts.models import User
from fastopp.web.templating import render

router = APIRouter(include_in_schema=False)

PATIENCE = 2.0  # seconds for the database: the page says that it does not answer then


@router.get("/")
async def home(request: Request, database: DatabaseDep, settings: SettingsDep, clock: ClockDep) -> Response:
    """Show where to go, the state of the project, and what to do next; also without a database."""
    user, found = None, state.ProjectState(reachable=False, tables=False)
    with suppress(DatabaseUnavailable):
        async with database.read(limit=PATIENCE) as session:
            user = await optional_user(request, session, settings, clock)
            found = await state.read_state(session)
    context: dict[str, Any] = {
        "state": found,
        "checks": state.checks(found, settings),
        "next_step": state.next_step(found, settings, user),
        "cards": cards(user),
    }
    return render(request, "pages/home.html", context)


def cards(user: User | None) -> list[dict[str, str]]:
    """Return the pages that this user may open."""
    shown = [
        _card("Database", "/database-demo", "database", "A product dashboard: search, filters, sorting and charts."),
        _card("Webinars", "/webinar-demo", "video", "Who comes to which webinar, with photos from the storage."),
        _card("AI chat", "/ai-demo", "chat", "An assistant that answers word by word. Works without a key, too."),
        _card("Design", "/design-demo", "palette", "Patterns for pages: forms with errors, galleries, live parts."),
    ]
    if user is not None and (user.is_staff or user.is_superuser):
        shown += [
            _card(
                "Registrants", "/webinar-registrants", "users", "Photos, notes and status of everyone you look after."
            ),
            _card(
                "Admin panel", "/admin/", "settings", "Tables with the rights of your account, and a record of changes."
            ),
        ]
    return [*shown, _card("API", "/docs", "terminal", "Every endpoint with its parameters, to try in the browser.")]


def _card(title: str, href: str, icon: str, text: str) -> dict[str, str]:
    return {"title": title, "href": href, "icon": icon, "text": text}
