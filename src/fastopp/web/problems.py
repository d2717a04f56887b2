"""Answer errors. Handlers raise; the kind of caller decides here what is returned.

- an API caller gets `application/problem+json` (RFC 9457) with `hint` and `request_id` beside the standard keys;
- a browser gets a page, or on a GET without sign-in is sent to /login and comes back;
- htmx gets a message that it puts into the page's alert region.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from fastopp.core.dependencies import error_reports
from fastopp.errors import FastOppError
from fastopp.reporting import ErrorReports, Occurrence, Place, within
from fastopp.web.doors import BodyRefused
from fastopp.web.templating import render

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
API_PREFIXES = ("/api/", "/async/", "/debug/", "/health")
LOGIN = "/login"

# RFC 9110's names where Python's differ from version to version.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
_DETAILS = {
    400: "The request is invalid.",
    401: "Sign in to continue.",
    403: "Your account may not do this.",
    404: "There is nothing at this address.",
    405: "This address does not accept this method.",
    408: "The request body arrived too slowly.",
    413: "The request is too large.",
    422: "The request contains invalid values.",
    429: "Too many requests.",
    500: "The server encountered an error.",
    503: "A service that this page needs does not answer at the moment.",
}
_HINTS = {
    404: "It may have moved, or the address has a typing error.",
    413: "Send less, or a smaller file.",
    429: "Wait a moment and try again.",
    500: "It has been recorded. Try again; if it happens again, report the request id.",
}


class Problem(NamedTuple):
    """An error as it is returned to a client."""

    status: int
    detail: str
    hint: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    @property
    def title(self) -> str:
        """The status in words."""
        return _TITLES.get(self.status) or _phrase(self.status)

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """Build a user-safe problem; unexpected exceptions expose no details."""
        if isinstance(error, FastOppError):
            return cls(error.status, error.message, error.hint, error.headers)
        if isinstance(error, HTTPException):
            detail = error.detail if isinstance(error.detail, str) else ""
            if detail in ("", _phrase(error.status_code), _TITLES.get(error.status_code)):  # Starlette's own wording
                detail = _DETAILS.get(error.status_code, detail or "The request failed.")
            return cls(error.status_code, detail, _HINTS.get(error.status_code), error.headers or {})
        if isinstance(error, RequestValidationError):
            return cls(422, _DETAILS[422], "; ".join(_in_words(mistake) for mistake in error.errors()))
        return cls(500, _DETAILS[500], _HINTS[500])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def install(app: FastAPI) -> None:
    """Register the handlers of every error that is raised on purpose. `UnhandledErrorMiddleware` does the rest."""
    for kind in (FastOppError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer)


async def answer(request: Request, error: Exception) -> Response:
    """The response for an error; see the top of this module."""
    if isinstance(error, BodyRefused):
        error = error.error
    problem = Problem.of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR and isinstance(error, FastOppError):
        logger.warning("answered %d: %s", problem.status, error, extra=log_extra(request, "problem"))
    if "hx-request" in request.headers:
        return as_fragment(request, problem)
    if wants_html(request):
        if problem.status == HTTPStatus.UNAUTHORIZED and request.method in ("GET", "HEAD"):
            return RedirectResponse(login_address(request), status_code=303, headers={"Cache-Control": "no-store"})
        return _page(request, problem)
    if isinstance(error, RequestValidationError):
        detail = [_without_secrets(mistake) for mistake in error.errors()]
        return AsciiJSONResponse({"detail": jsonable_encoder(detail)}, status_code=422)  # FastAPI's own shape
    extensions: Mapping[str, Any] = error.extensions if isinstance(error, FastOppError) else {}
    if isinstance(error, HTTPException) and not isinstance(error.detail, str):
        extensions = {"detail": error.detail}  # a handler's own structure is kept
    return as_json(request, problem, extensions)


def wants_html(request: Request) -> bool:
    """Return whether a person is looking: the browser asks for HTML, and not of the API."""
    path: str = request.scope["path"]
    is_api = path.startswith(API_PREFIXES) or path == "/api"
    return not is_api and "text/html" in request.headers.get("accept", "")


def login_address(request: Request, path: str | None = None) -> str:
    """`/login?next=<where the browser is now>`, so that signing in leads back."""
    if path is None:
        query = request.scope["query_string"].decode("latin-1")
        path = request.scope["path"] + (f"?{query}" if query else "")
    return f"{LOGIN}?next={quote(path, safe='/')}"


class AsciiJSONResponse(JSONResponse):
    """JSON that any text fits in: a caller may have sent half a surrogate pair, which UTF-8 cannot encode."""

    def render(self, content: object) -> bytes:
        """Encode, with everything beyond ASCII escaped."""
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


class UnhandledErrorMiddleware:
    """The edge: log unexpected exceptions, and answer 500 without details.

    It stands inside the other middleware, unlike Starlette's own, so that this answer has its request id and
    security headers too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        reports = error_reports(scope) or ErrorReports()
        with within(Place(reports, scope)):
            if scope["type"] == "http":
                await self._answer(scope, receive, send, reports)
            else:
                await self._pass_on(scope, receive, send, reports)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, reports: ErrorReports) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            if reports.waiting and message["type"] == "http.response.body":
                await reports.flush()  # before the end of the answer, when the process may be frozen
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            logger.info("the client has left", extra=log_extra(Request(scope, receive), "client_left"))
        except Exception as error:
            request = Request(scope, receive)
            if started and isinstance(error, FastOppError):
                # Too late for another answer. Returning early has the server cut the connection.
                logger.warning("response interrupted: %s", error, extra=log_extra(request, "broke_off"))
                return
            if not isinstance(error, (FastOppError, HTTPException)):
                reports.add(Occurrence(error, "request", scope))
            if started:  # as above; the server logs the traceback
                await reports.flush()
                raise
            if not isinstance(error, (FastOppError, HTTPException)):
                logger.exception("unhandled error", extra=log_extra(request, "unhandled_error"))
            response = await answer(request, error)
            await response(scope, receive, watched)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send, reports: ErrorReports) -> None:
        """Record the error of a WebSocket, which the server answers."""
        try:
            await self.app(scope, receive, send)
        except (FastOppError, HTTPException, WebSocketException, WebSocketDisconnect):
            raise
        except Exception as error:
            reports.add(Occurrence(error, "request", scope))
            await reports.flush()
            raise


def as_json(request: Request, problem: Problem, extensions: Mapping[str, Any] = MappingProxyType({})) -> Response:
    """Return a problem for programs; `extensions` are more keys of it."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "hint": problem.hint,
        "request_id": request_id(request),
    }
    body |= extensions
    return AsciiJSONResponse(jsonable_encoder(body), problem.status, headers=_headers(problem), media_type=PROBLEM_JSON)


def _page(request: Request, problem: Problem) -> Response:
    context = {"problem": problem, "request_id": request_id(request), "login": login_address(request)}
    return render(request, "error.html", context, status_code=problem.status, headers=_headers(problem))


def as_fragment(request: Request, problem: Problem) -> Response:
    """Return a problem for HTMX, which puts it into the alert region of the page."""
    headers = {**_headers(problem), "HX-Retarget": "#alerts", "HX-Reswap": "innerHTML show:window:top"}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        here = urlsplit(request.headers.get("hx-current-url", "/"))
        path = (here.path or "/") + (f"?{here.query}" if here.query else "")
        headers["HX-Redirect"] = login_address(request, path)
    context = {"problem": problem, "request_id": request_id(request)}
    return render(request, "error_fragment.html", context, status_code=problem.status, headers=headers)


def _headers(problem: Problem) -> dict[str, str]:
    headers = {"Cache-Control": "no-store", **problem.headers}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")  # RFC 9110, 15.5.2: a 401 must have one
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers.setdefault("Retry-After", "5")
    return headers


def request_id(request: Request) -> str | None:
    """The id of this request, as in the `X-Request-ID` header and in the log."""
    known: str | None = getattr(request.state, "request_id", None)
    return known


def log_extra(request: Request, action: str) -> dict[str, Any]:
    """Return the fields of a log record about a request."""
    return {
        "action": action,
        "request_id": request_id(request),
        "method": request.method,
        "path": request.scope["path"],
    }


def _in_words(mistake: Mapping[str, Any]) -> str:
    where = ".".join(str(part) for part in mistake["loc"][1:])
    return f"{where}: {mistake['msg']}" if where else str(mistake["msg"])


def _without_secrets(mistake: Mapping[str, Any]) -> dict[str, Any]:
    """A mistake without Python's own objects, and without the value that was sent when that may be a secret.

    Only a plain value of a named field is echoed: a whole body may hold a password.
    """
    told = {key: value for key, value in mistake.items() if key in ("type", "loc", "msg")}
    if "ctx" in mistake:
        told["ctx"] = {key: value if _is_plain(value) else str(value) for key, value in mistake["ctx"].items()}
    names = [str(part).lower() for part in mistake["loc"][1:]]
    secret = not names or any(word in name for name in names for word in ("password", "token", "secret", "key"))
    if not secret and _is_plain(mistake.get("input")):
        told["input"] = mistake.get("input")
    return told


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
