"""The pages that every project has: a home for one whose apps bring none (minimal mode), and its licence."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request, Response

from fastopp.core.dependencies import ClockDep, DatabaseDep, SettingsDep
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.errors import NotFound
from fastopp.features.accounts.current_user import OptionalUser, optional_user
from fastopp.features.accounts.models import User
from fastopp.features.accounts.service import superuser_exists
from fastopp.settings import Settings
from fastopp.web.templating import LICENCE, render

router = APIRouter(include_in_schema=False)

PATIENCE = 2.0  # seconds for the database: the page says that it does not answer then


@router.get("/")
async def home(request: Request, database: DatabaseDep, settings: SettingsDep, clock: ClockDep) -> Response:
    """The state of the project, and the next steps. Works without a database too."""
    user, reachable, tables, superuser = None, True, True, False
    try:
        async with database.read(limit=PATIENCE) as session:
            user = await optional_user(request, session, settings, clock)
            superuser = await superuser_exists(session)
    except DatabaseUnavailable:
        reachable = tables = False
    except TablesMissing:
        tables = False
    context: dict[str, Any] = {
        "checks": [
            {"name": "Platform", "ok": True, "text": f"{settings.platform.title}, {settings.environment}."},
            {"name": "Database", "ok": reachable, "text": "It answers." if reachable else "It does not answer now."},
            {"name": "Tables", "ok": tables, "text": "All tables are there." if tables else "Tables are missing."},
        ],
        "next_step": _next_step(settings, user, ready=superuser),
        "cards": _cards(user),
    }
    return render(request, "home.html", context)


@router.get("/license")
async def licence(request: Request, user: OptionalUser) -> Response:
    """The text of the project's LICENSE file."""
    try:
        text = await asyncio.to_thread(LICENCE.read_text, encoding="utf-8")
    except FileNotFoundError:
        raise NotFound("This project has no LICENSE file.") from None
    return render(request, "license.html", {"text": text})


def _next_step(settings: Settings, user: User | None, *, ready: bool) -> dict[str, str | None] | None:
    step: dict[str, str | None] = {"command": None, "href": None, "action": ""}
    if not ready:
        text = "Make the tables and the first superuser. Running it again changes nothing."
        if settings.platform.shell:
            return step | {
                "title": "Set it up",
                "text": text,
                "command": "python oppman.py db && python oppman.py superuser",
            }
        command = 'curl -X POST -H "Authorization: Bearer $OPS_TOKEN" https://<this site>/async/init-demo'
        return step | {"title": "Set it up", "text": text, "command": command}
    if user is None or not settings.development:
        return None
    text = "A folder with models, routes, an admin view and a page that runs immediately."
    return step | {"title": "Create your own app", "text": text, "command": "python oppman.py startapp shop"}


def _cards(user: User | None) -> list[dict[str, str]]:
    cards = [_card("API", "/docs", "terminal", "Every endpoint with its parameters, to try in the browser.")]
    if user is not None and (user.is_staff or user.is_superuser):
        cards.append(_card("Admin panel", "/admin/", "settings", "The tables, with the rights of your account."))
        cards.append(_card("Protected page", "/protected", "lock", "What only staff can open."))
    if user is not None and user.is_superuser:
        cards.append(_card("Oppman", "/oppman/", "server", "Accounts, passwords and migrations."))
    return cards


def _card(title: str, href: str, icon: str, text: str) -> dict[str, str]:
    return {"title": title, "href": href, "icon": icon, "text": text}
