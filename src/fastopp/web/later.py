"""Routes that are imported when the first request for one of them comes.

A process that nobody asks for its management pages pays neither their time nor their memory: for a first page
on PostgreSQL they were a twentieth of the processor time and 3 MiB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, FastAPI
from starlette._utils import get_route_path
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

Load = Callable[[], Iterable[APIRouter]]


class LaterRoutes(BaseRoute):
    """Stands in the application's list for routers that are not imported yet, and is replaced by them.

    Parameters
    ----------
    prefixes: the paths they answer at, each with everything below it; a request for another path goes past them.
    load: imports and returns them. It runs once; a request that it fails for is answered with its error, and the
        next one tries again.
    """

    def __init__(self, application: FastAPI, prefixes: Iterable[str], load: Load) -> None:
        self._application = application
        self._prefixes = tuple(prefixes)
        self._load = load
        self._lock = asyncio.Lock()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether one of the routers may answer."""
        path = get_route_path(scope)
        below = any(path == prefix or path.startswith(f"{prefix}/") for prefix in self._prefixes)
        return (Match.FULL if below and scope["type"] == "http" else Match.NONE), {}

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:  # noqa: ANN401 - as Starlette declares it
        """They have no names until they are there; templates write these addresses out."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bring the routers in and let the application look again."""
        async with self._lock:
            if self in self._application.routes:
                # In a thread, since others are being answered meanwhile.
                self.replace(await asyncio.to_thread(self._load))
        await self._application.router(scope, receive, send)

    def replace(self, routers: Iterable[APIRouter] | None = None) -> None:
        """Put the routers at this place of the list."""
        together = APIRouter()
        for router in self._load() if routers is None else routers:
            together.include_router(router)
        self._application.include_router(together)
        routes = self._application.router.routes
        routes[routes.index(self)] = routes.pop()


class Application(FastAPI):
    """A FastAPI application some of whose routes may still have to come; its API document knows all of them."""

    def openapi(self) -> dict[str, Any]:
        """Describe the API."""
        for route in list(self.routes):
            if isinstance(route, LaterRoutes):
                route.replace()
        return super().openapi()
