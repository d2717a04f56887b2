"""Operations that a scheduler or an async platform calls: they work inside the request and answer truly.

Whoever calls them takes any answer but 2xx for "try again", so a failure is never answered with 200.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from fastopp.dependencies import RuntimeDep
from fastopp.ops.access import DetachedOperator
from fastopp.ops.health import NO_STORE
from fastopp.seeding import run_full_init
from fastopp.web.api_docs import problems

router = APIRouter(prefix="/async", tags=["async"], responses=problems(401, 403, 503))


@router.post("/init-demo", summary="Initialise the project", responses={500: {"description": "A step failed"}})
async def init_demo(runtime: RuntimeDep, operator: DetachedOperator) -> JSONResponse:
    """Tables, the first superuser, and the sample data of every app. Repeating it changes nothing that is there.

    `details.superuser_password` is there only when this very call generated one; it is kept nowhere else.
    """
    report = await run_full_init(runtime)
    outcomes = {outcome.name: outcome.status for outcome in report.results}
    details: dict[str, Any] = {
        "database_initialized": outcomes.get("db") == "success",
        "superuser_created": outcomes.get("superuser") == "success",
        "superuser_email": runtime.settings.superuser_email,
        "results": [outcome.as_json() for outcome in report.results],
    }
    if report.generated_password:
        details["superuser_password"] = report.generated_password
    answer = {"status": "success" if report.success else "error", "message": report.message, "details": details}
    return JSONResponse(answer, 200 if report.success else 500, NO_STORE)
