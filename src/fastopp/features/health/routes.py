"""Health over HTTP: liveness, what works in detail, and robots.txt.

Liveness is answered by `FastOpp` itself, before anything here is imported; the routes below exist so that the
API documentation lists those addresses.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from fastopp.core.dependencies import RuntimeDep
from fastopp.features.accounts.current_user import holds_ops_token
from fastopp.features.health import status
from fastopp.features.health.probes import HealthMonitor
from fastopp.features.health.status import database_type, public_url
from fastopp.platforms.base import HEALTH_PATHS
from fastopp.settings import Settings
from fastopp.web.answers import NO_STORE

ROBOTS = "User-agent: *\n" + "".join(
    f"Disallow: {path}\n" for path in ("/admin/", "/api/", "/async/", "/debug/", "/oppdemo/", "/oppman/")
)


def create_router(settings: Settings) -> APIRouter:
    """The routes; they share a monitor with the status page."""
    monitor = HealthMonitor()
    router = APIRouter(tags=["health"])

    for path in sorted(HEALTH_PATHS):

        @router.get(path, name=f"liveness {path}", summary="The process runs")
        async def liveness() -> dict[str, str]:
            return {"status": "ok"}

    @router.get("/health", summary="Database, migrations and storage work", responses={503: {"description": "Not all"}})
    async def health(request: Request, runtime: RuntimeDep) -> JSONResponse:
        # The operator may have migrated the site a moment ago.
        operator = holds_ops_token(request, runtime.settings)
        report = await (monitor.fresh(runtime) if operator else monitor.report(runtime))
        return JSONResponse(report.as_json(), 200 if report.healthy else 503, NO_STORE)

    @router.get("/health/database", summary="The database works", responses={503: {"description": "It does not"}})
    async def database_health(runtime: RuntimeDep) -> JSONResponse:
        check, url = (await monitor.report(runtime)).checks["database"], runtime.database.url
        answer: dict[str, Any] = {
            "available": check.healthy,
            "database_url": public_url(url),
            "database_type": database_type(url),
            "error": check.problem,
        }
        return JSONResponse(answer, 200 if check.healthy else 503, NO_STORE)

    @router.get("/robots.txt", include_in_schema=False)
    async def robots() -> PlainTextResponse:
        return PlainTextResponse(ROBOTS)

    router.include_router(status.create_router(monitor))
    return router
