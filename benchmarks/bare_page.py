"""The showcase of the demo as a bare Starlette route: the same template with data that is at hand, no database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from demo.webinars import repository
from demo.webinars.showcase import by_webinar
from fastopp.core.apps import find_apps
from fastopp.database.session import Database
from fastopp.settings import Settings, load_settings
from fastopp.web.navigation import MANAGEMENT
from fastopp.web.setup import static_folders, template_folders
from fastopp.web.templating import Templates, render

APPS = ("demo.pages", "demo.users", "demo.products", "demo.webinars", "demo.design", "demo.chat")


def app() -> Starlette:
    """Return the application."""
    settings, apps = load_settings(), find_apps(APPS)
    context: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        context.update(await _read(settings))
        yield

    async def showcase(request: Request) -> Response:
        return render(request, "webinars/showcase.html", context)

    application = Starlette(routes=[Route("/webinar-demo", showcase)], lifespan=lifespan)
    root = Path.cwd()
    application.state.templates = Templates(
        settings, template_folders(apps, root), static_folders(apps, root), name="FastOpp"
    )
    application.state.navigation = [*(item for each in apps for item in each.navigation()), *MANAGEMENT]
    return application


async def _read(settings: Settings) -> dict[str, Any]:
    database = Database.from_settings(settings)
    async with database.read() as session:
        attendees, webinars, companies = await repository.count_public(session)
        groups = by_webinar(await repository.list_public(session, per_page=200))
    await database.dispose()
    shown = sum(len(group.attendees) for group in groups)
    context = {"webinars": groups, "attendee_count": attendees, "webinar_count": webinars}
    return context | {"company_count": companies, "hidden_count": attendees - shown}
