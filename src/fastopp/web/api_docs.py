"""/docs: the API to read and to try out, with Swagger UI served from here (FastAPI's own page needs a CDN).

And what routes say there of their errors.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from fastopp.web.problems import PROBLEM_JSON
from fastopp.web.templating import render

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Swagger UI."""
    return render(request, "api_docs.html", {"openapi_url": request.app.openapi_url})


@router.get("/redoc")
async def redoc() -> RedirectResponse:
    """FastAPI's second page of the same; one is enough."""
    return RedirectResponse("/docs", status_code=307)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route or router that may answer with these errors."""
    return {status: {"description": HTTPStatus(status).phrase, "content": _content(status)} for status in statuses}


def _content(status: int) -> dict[str, Any]:
    anything = {"schema": {"type": "object", "additionalProperties": True}}
    # What fails FastAPI's own validation keeps FastAPI's own shape.
    own = {"application/json": anything} if status == 422 else {}
    return {PROBLEM_JSON: anything} | own
