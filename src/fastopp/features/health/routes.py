"""Health over HTTP: liveness, what works in detail, and robots.txt.

Liveness is answered by `FastOpp` itself, before anything here is imported; the routes below exist so that the
API documentation lists those addresses.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse

from fastopp.core.dependencies import RuntimeDep
from fastopp.features.accounts.current_user import holds_ops_token
from fastopp.features.health.probes import HealthMonitor
from fastopp.platforms.base import HEALTH_PATHS
from fastopp.settings.database_url import DEFAULT_PORT, DatabaseURL

ROBOTS = "User-agent: *\n" + "".join(
    f"Disallow: {path}\n" for path in ("/admin/", "/api/", "/async/", "/debug/", "/oppdemo/", "/oppman/")
)

NO_STORE = {"Cache-Control": "no-store"}


def create_router(monitor: HealthMonitor) -> APIRouter:
    """The routes; `monitor` is shared with the status page."""
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

    return router


def database_type(url: DatabaseURL) -> str:
    """The database's name as people write it."""
    return "SQLite" if url.backend == "sqlite" else "PostgreSQL"


def public_url(url: DatabaseURL) -> str:
    """Return the public part of the URL: the type of database and its host; no account and no path."""
    if url.backend == "sqlite":
        return f"sqlite:///{Path(url.database or '').name}"
    return f"postgresql://***@{url.host or 'localhost'}:{url.port or DEFAULT_PORT}/***"
