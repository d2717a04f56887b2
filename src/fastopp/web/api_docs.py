"""/docs: the API to read and to try out, with Swagger UI served from here (FastAPI's own page needs a CDN)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

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
