"""Several services under one address: paths that are another emulator's, as those of a domain of LeapCell's can be.

See https://docs.leapcell.io/service/domain. The other service gets the whole path, with its prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from yarl import URL

from leapcell_emulator.errors import BadRequest
from leapcell_emulator.forwarding import answer_head, is_chunked, passed_headers, request_head
from leapcell_emulator.target import Target
from leapcell_emulator.traffic import Exchange
from leapcell_emulator.upstream import Upstream
from leapcell_emulator.upstream_connection import Interrupted

MOST: Final = 10
"""Routes of one domain: https://docs.leapcell.io/limit/."""


@dataclass(frozen=True, slots=True)
class Route:
    """A path, and the address that answers it and what is below it."""

    path: str
    url: URL
    upstream: Upstream = field(compare=False)


def read_routes(texts: Iterable[str]) -> list[Route]:
    """Return the routes of `/path=http://127.0.0.1:8090` each, the longest path first. Raises `BadRequest`."""
    routes = []
    for text in texts:
        path, _, address = text.partition("=")
        try:
            url = URL(address)
            port = url.port
        except ValueError:
            url, port = URL(), None
        if not path.startswith("/") or url.scheme != "http" or url.host is None or port is None:
            raise BadRequest(f"--route {text} is no route.", hint="Write it like /api=http://127.0.0.1:8090.")
        routes.append(Route(path.rstrip("/"), url.origin(), Upstream(url.host, port)))
    if len(routes) > MOST or len({route.path for route in routes}) < len(routes):
        raise BadRequest(f"A domain has at most {MOST} routes, each with another path.")
    return sorted(routes, key=lambda route: len(route.path), reverse=True)


def find_route(routes: Sequence[Route], path: str) -> Route | None:
    """Return the route of a path."""
    for route in routes:
        if path == route.path or path.startswith(route.path + "/"):
            return route
    return None


async def pass_on(
    request: web.BaseRequest, target: Target, route: Route, count: Exchange, proto: str
) -> web.StreamResponse:
    """Return the other service's answer, or 502 where it gives none. The rules are its own to apply."""
    headers = passed_headers(request, target, proto=proto)
    chunked = is_chunked(request)
    head = request_head(request.method, target.path, headers, chunked=chunked)
    count.instance = str(route.url.authority)
    try:
        body = request.content.iter_any() if request.body_exists else None
        upstream = await route.upstream.ask(request.method, head, body, chunked=chunked)
    except Interrupted as error:
        count.status = 502
        text = f"The service at {route.url}, which answers {route.path or '/'}, did not: {error}.\n"
        return web.Response(status=502, text=text)
    count.status, count.raw_answer_headers = upstream.status, upstream.headers
    response = answer_head(upstream.status, upstream.reason, upstream.headers, None)
    try:
        await response.prepare(request)
        while chunk := await upstream.read():
            count.take_answer(chunk)
            await response.write(chunk)
        await response.write_eof()
    except Interrupted:
        if request.transport is not None:
            request.transport.close()  # the client sees that something is missing
    finally:
        upstream.release()
    return response
