"""The page that says whether the database works, and what to do when it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request, Response

from fastopp.core.dependencies import RuntimeDep
from fastopp.features.accounts.current_user import optional_user
from fastopp.features.health.probes import HealthMonitor, pool_status
from fastopp.settings.database_url import DEFAULT_PORT, DatabaseURL
from fastopp.web.answers import NO_STORE, is_htmx
from fastopp.web.templating import render


def create_router(monitor: HealthMonitor) -> APIRouter:
    """The page; it shares the checks of /health."""
    router = APIRouter()

    @router.get("/database-status", include_in_schema=False)
    async def database_status(request: Request, runtime: RuntimeDep) -> Response:
        """For everyone, with details for superusers. While something is down it asks again by itself."""
        url, report = runtime.database.url, await monitor.report(runtime)
        user = request.state.user = None
        # Who asks is looked up only where that can be answered: a page about an outage must not wait for it.
        if report.checks["migrations"].details.get("current"):
            async with runtime.database.read() as session:
                user = await optional_user(request, session, runtime.settings, runtime.clock)
        details = user is not None and user.is_superuser
        context: dict[str, Any] = {
            "report": report,
            "database_type": database_type(url),
            "database_url": url.masked if details else public_url(url),
            "pool": pool_status(runtime) if details else None,
            "platform": runtime.settings.platform,
        }
        # 200 also while the database is down: the page itself works, and a proxy must not replace it by its own.
        template = "ops/_status.html" if is_htmx(request) else "ops/status.html"
        return render(request, template, context, headers=NO_STORE | {"Vary": "HX-Request"})

    return router


def database_type(url: DatabaseURL) -> str:
    """The database's name as people write it."""
    return "SQLite" if url.backend == "sqlite" else "PostgreSQL"


def public_url(url: DatabaseURL) -> str:
    """Return the public part of the URL: the type of database and its host; no account and no path."""
    if url.backend == "sqlite":
        return f"sqlite:///{Path(url.database or '').name}"
    return f"postgresql://***@{url.host or 'localhost'}:{url.port or DEFAULT_PORT}/***"
