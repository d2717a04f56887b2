"""The page that says whether the database works, and what to do when it does not."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from fastopp.auth.current_user import OptionalUser
from fastopp.dependencies import RuntimeDep
from fastopp.ops.answers import is_htmx
from fastopp.ops.checks import HealthMonitor
from fastopp.ops.debug import pool_status
from fastopp.ops.health import NO_STORE, database_type, public_url
from fastopp.web.templating import render


def create_router(monitor: HealthMonitor) -> APIRouter:
    """The page; it shares the checks of /health."""
    router = APIRouter()

    @router.get("/database-status", include_in_schema=False)
    async def database_status(request: Request, runtime: RuntimeDep, user: OptionalUser) -> Response:
        """For everyone, with details for superusers. While something is down it asks again by itself."""
        url = runtime.database.url
        details = user is not None and user.is_superuser
        context: dict[str, Any] = {
            "report": await monitor.report(runtime),
            "database_type": database_type(url),
            "database_url": url.masked if details else public_url(url),
            "pool": pool_status(runtime) if details else None,
            "platform": runtime.settings.platform,
        }
        # 200 also while the database is down: the page itself works, and a proxy must not replace it by its own.
        template = "ops/_status.html" if is_htmx(request) else "ops/status.html"
        return render(request, template, context, headers=NO_STORE | {"Vary": "HX-Request"})

    return router
