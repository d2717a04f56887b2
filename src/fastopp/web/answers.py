"""The answer of an operation: a fragment for HTMX, a page for a form without JavaScript, JSON for programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute

from fastopp.errors import FastOppError, Unauthorized
from fastopp.web.doors import BodyRefused
from fastopp.web.templating import render

NO_STORE = {"Cache-Control": "no-store"}

_ID = re.compile(r"[A-Za-z][\w-]*")


def outcome(
    request: Request,
    message: str,
    *,
    success: bool = True,
    status_code: int = 200,
    headers: Mapping[str, str] | None = None,
    context: Mapping[str, Any] | None = None,
    refresh: str = "",
    redirect_to: str = "",
    keys: Mapping[str, Any] | None = None,
) -> Response:
    """The answer of an operation.

    Parameters
    ----------
    message: one or two sentences for people.
    context: for the template, beside `message` and `success`: `output` is shown as preformatted text.
    refresh: the name of a browser event that makes parts of the page reload themselves (HX-Trigger).
    redirect_to: where a browser goes next instead of showing the message.
    keys: further members of the JSON answer.
    """
    headers = dict(headers or {}) | NO_STORE | {"Vary": "HX-Request, Accept"}
    if is_htmx(request):
        if redirect_to:
            return Response(status_code=204, headers=headers | {"HX-Redirect": redirect_to})
        if refresh:
            headers["HX-Trigger"] = refresh
        if not success:
            # app.js swaps an error only where the server says that it belongs.
            headers |= {"HX-Retarget": _target(request), "HX-Reswap": "innerHTML"}
        template = "ops/_outcome.html"
    elif prefers_html(request):
        if redirect_to:
            return Response(status_code=303, headers=headers | {"Location": redirect_to})
        template = "ops/outcome.html"
    else:
        answer = {"success": success, "message": message} | dict(keys or {})
        if not success:
            answer |= {"title": HTTPStatus(status_code).phrase, "status": status_code, "detail": message}
        media_type = "application/json" if success else "application/problem+json"
        return JSONResponse(answer, status_code, headers, media_type)
    shown = {"message": message, "success": success, "output": "", "secret": ""} | dict(context or {})
    return render(request, template, shown, status_code=status_code, headers=headers)


def _target(request: Request) -> str:
    target = request.headers.get("hx-target", "")
    return f"#{target}" if _ID.fullmatch(target) else "#alerts"


def is_htmx(request: Request) -> bool:
    """Return whether HTMX asks, which wants a fragment."""
    return "hx-request" in request.headers


def prefers_html(request: Request) -> bool:
    """Return whether a browser asks for a page; programs accept anything or name JSON."""
    return "text/html" in request.headers.get("accept", "")


class OperationRoute(APIRoute):
    """A route whose refusals keep the keys that FastOpp's clients know (`success`, `message`) and are shown in place.

    Not signed in is answered as everywhere else: with the way to sign in.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap FastAPI's own handler."""
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except (FastOppError, BodyRefused) as caught:
                error = caught.error if isinstance(caught, BodyRefused) else caught
                if isinstance(error, Unauthorized):
                    raise
                return outcome(request, str(error), success=False, status_code=error.status, headers=error.headers)
            except RequestValidationError as mistakes:
                if not is_htmx(request):
                    raise
                return outcome(request, _explain(mistakes), success=False, status_code=422)

        return handle


def _explain(error: RequestValidationError) -> str:
    """The mistakes of a form in one sentence each."""
    return " ".join(f"{mistake['loc'][-1]}: {mistake['msg']}." for mistake in error.errors())
