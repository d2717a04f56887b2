"""The page at `/__emulator`: what goes on in the emulator, as HTML for people and JSON for programs.

Any client that reaches it can end instances, so only this machine and only this page may: the Host header must name
loopback (a foreign name that was made to resolve to 127.0.0.1 is refused), and an action needs a header that a page of
another origin cannot send without asking first, which is never granted.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from aiohttp import hdrs, web
from yarl import URL

from leapcell_emulator.errors import BadRequest, EmulatorError, Forbidden, NotFound
from leapcell_emulator.gateway import PAGE
from leapcell_emulator.services.look import Table

HEADER: Final = "X-Leapcell-Emulator"
"""An action must carry it, with any value."""

LONGEST_NUMBER: Final = 10
"""Digits."""

# The names that an order may give to what it acts on, or with.
_TARGETS: Final = ("instance", "request", "timer", "rule", "seconds", "milliseconds")

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

_FILES: Final = {
    PAGE: ("page.html", "text/html"),
    f"{PAGE}/page.css": ("page.css", "text/css"),
    f"{PAGE}/page.js": ("page.js", "text/javascript"),
    f"{PAGE}/requests.js": ("requests.js", "text/javascript"),
    f"{PAGE}/looks.js": ("looks.js", "text/javascript"),
}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class ForeignHost(Forbidden):
    """The emulator's page is for this machine only."""

    hint = "Open it at 127.0.0.1, localhost, or a name below localhost."


class ForeignOrigin(Forbidden):
    """Only the emulator's own page can do this."""

    hint = f"A program says so with the header {HEADER}: 1."


class MethodNotAllowed(BadRequest):
    """Method not allowed."""

    status = 405


class Watched(Protocol):
    """The interface that the page shows and controls: the `Emulator`."""

    def state(self) -> dict[str, Any]:
        """Everything there is to see."""
        ...

    def request(self, number: str) -> dict[str, Any]:
        """All of a request."""
        ...

    def har(self) -> dict[str, Any]:
        """The last requests as an HTTP Archive."""
        ...

    async def look(self, service: str, name: str, after: int) -> Table:
        """Return the contents of a service."""
        ...

    def find_object(self, key: str) -> Path:
        """Return the file of an object in the bucket."""
        ...

    async def act(self, action: str, instance: str | None = None) -> str:
        """Do something and say what was done."""
        ...


class Page:
    """Answers everything below `/__emulator`."""

    def __init__(self, emulator: Watched) -> None:
        self._emulator = emulator
        self._acting: set[asyncio.Task[str]] = set()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request. What went wrong is answered as JSON: `message` and `hint`."""
        try:
            check_host(request)
            return await self._answer(request)
        except EmulatorError as error:
            return _json({"message": error.message, "hint": error.hint}, status=error.status)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if path == f"{PAGE}/act":
            return await self._act(request)
        if request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
            raise MethodNotAllowed
        if path == f"{PAGE}/state":
            return _json(self._emulator.state())
        if path.startswith(f"{PAGE}/requests/"):
            return _json(self._emulator.request(path.rpartition("/")[2]))
        if path == f"{PAGE}/har":
            answer = _json(self._emulator.har())
            answer.headers["Content-Disposition"] = 'attachment; filename="emulator.har"'
            return answer
        if path.startswith(f"{PAGE}/look/"):
            after = request.query.get("after", "0")
            if not (after.isascii() and after.isdigit() and len(after) < LONGEST_NUMBER):
                raise BadRequest("`after` must be a number.")
            found = await self._emulator.look(path.rpartition("/")[2], request.query.get("of", ""), int(after))
            return _json(found.as_json())
        if path == f"{PAGE}/object":
            file = await asyncio.to_thread(self._emulator.find_object, request.query.get("key", ""))
            return _download(file)
        if path in _FILES:
            name, content_type = _FILES[path]
            text = await asyncio.to_thread(Path(__file__).with_name(name).read_text, encoding="utf-8")
            return web.Response(text=text, content_type=content_type, headers=_HEADERS)
        known = ", ".join(f"{PAGE}{below}" for below in ("", "/state", "/requests/1", "/har", "/look/postgres", "/act"))
        raise NotFound(f"The emulator has no page {path}.", hint=f"It has {known}.")

    async def _act(self, request: web.BaseRequest) -> web.Response:
        if request.method != hdrs.METH_POST:
            raise MethodNotAllowed
        check_origin(request)
        action, instance = await _read_order(request)
        task = asyncio.create_task(self._emulator.act(action, instance))
        self._acting.add(task)
        task.add_done_callback(self._finished)
        # A page that is closed meanwhile does not stop a deployment half-way.
        return _json({"message": await asyncio.shield(task)})

    def _finished(self, task: asyncio.Task[str]) -> None:
        self._acting.discard(task)
        if not task.cancelled():
            task.exception()  # the client got the error, or has disconnected


def check_host(request: web.BaseRequest) -> None:
    """Raises `ForeignHost` unless the Host header is a name of this machine."""
    try:
        host = URL(f"http://{request.headers.get(hdrs.HOST, '')}").host
    except ValueError:
        host = None
    if host not in LOOPBACK and not (host or "").endswith(".localhost"):  # which resolves to this machine: RFC 6761
        raise ForeignHost


def check_origin(request: web.BaseRequest) -> None:
    """Raises `ForeignOrigin` for what a page of another origin sends, or makes a browser send."""
    origin = request.headers.get(hdrs.ORIGIN)
    same = origin is None or origin == f"{request.scheme}://{request.headers.get(hdrs.HOST)}"
    if HEADER not in request.headers or not same:
        raise ForeignOrigin


async def _read_order(request: web.BaseRequest) -> tuple[str, str | None]:
    """The action that the body names, and the instance, request or timer. Raises `BadRequest`."""
    hint = 'Send {"action": "freeze", "instance": "i1"}.'
    try:
        order = json.loads(await request.read())
        action = order["action"]
        instance = next((order[key] for key in _TARGETS if order.get(key) is not None), None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise BadRequest("The request body is not JSON with an action.", hint=hint) from None
    if not isinstance(action, str) or not isinstance(instance, str | None):
        raise BadRequest("The action and the instance must be strings.", hint=hint)
    return action, instance


def _download(file: Path) -> web.FileResponse:
    """Return an object as a file to save: it may be a page with scripts, which must not run here."""
    name = quote(file.name, safe="")
    headers = {**_HEADERS, "Content-Disposition": f"attachment; filename*=UTF-8''{name}"}
    return web.FileResponse(file, headers={**headers, "Content-Type": "application/octet-stream"})


def _json(value: object, *, status: int = 200) -> web.Response:
    return web.Response(
        text=json.dumps(value, default=str), status=status, content_type="application/json", headers=_HEADERS
    )
