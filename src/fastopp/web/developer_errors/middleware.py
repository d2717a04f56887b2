"""Answer unexpected errors with everything that helps to fix them, on a developer's own machine only."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastopp.core.app_settings import app_settings
from fastopp.core.apps import App
from fastopp.database.errors import TablesMissing
from fastopp.database.statements import recorded_statements
from fastopp.errors import FastOppError
from fastopp.reporting import Occurrence, current_place
from fastopp.settings import Settings
from fastopp.web import problems
from fastopp.web.own_machine import is_local_development

log = logging.getLogger(__name__)

TEMPLATE = "developer_error.html"


def install(app: FastAPI, settings: Settings, apps: Sequence[App]) -> None:
    """Add the page to an application in development. Call it before the middleware that answers all other errors."""

    async def pass_on(request: Request, error: Exception) -> Response:
        if is_local_development(request, settings):
            raise error  # to the middleware, which knows the SQL
        return await problems.answer(request, error)

    app.add_exception_handler(TablesMissing, pass_on)
    app.add_middleware(DeveloperErrorMiddleware, settings=settings, apps=apps)


class DeveloperErrorMiddleware:
    """Show what is known of an error to the developer; errors of all other clients pass."""

    def __init__(self, app: ASGIApp, *, settings: Settings, apps: Sequence[App] = ()) -> None:
        self.app = app
        self.settings = settings
        self.apps = apps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] != "http" or not is_local_development(Request(scope), self.settings):
            await self.app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        with recorded_statements() as statements:
            try:
                await self.app(scope, receive, watched)
            except Exception as error:
                if started or not _is_for_developers(error):
                    raise
                if not isinstance(error, FastOppError):
                    if (place := current_place()) is not None:
                        place.reports.add(Occurrence(error, "request", scope))
                    log.exception("unhandled error", extra=problems.log_extra(Request(scope), "unhandled_error"))
                response = await self._answer(Request(scope, receive), error, statements)
                await response(scope, receive, send)

    async def _answer(self, request: Request, error: Exception, statements: deque[str]) -> Response:
        from fastopp.web.developer_errors.report import make_report  # noqa: PLC0415 - only where an error is

        kinds = app_settings(self.apps)
        report = await asyncio.to_thread(make_report, request, error, self.settings, statements, kinds)
        status = error.status if isinstance(error, FastOppError) else 500
        problem = problems.Problem(status, report.headline, report.hint)
        if "hx-request" in request.headers:
            return problems.as_fragment(request, problem)
        if not problems.wants_html(request):
            return problems.as_json(request, problem, {"place": report.place})
        page = request.app.state.templates.environment.get_template(TEMPLATE)
        text = page.render(report=report, status=status, request_id=problems.request_id(request))
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})


def _is_for_developers(error: Exception) -> bool:
    return not isinstance(error, (FastOppError, HTTPException, ClientDisconnect)) or isinstance(error, TablesMissing)
