"""Routes that are imported when the first request for one of them comes.

A process without requests for management pages pays neither their time nor their memory: for a first page
on PostgreSQL they were a twentieth of the processor time and 3 MiB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from fastopp.errors import FastOppError


class RouteOutOfReach(FastOppError):
    """A lazy router defines a route outside its declared prefixes, so it can never match."""

    hint = "Add its path where its module is declared, in the feature's __init__.py."

    def __init__(self, path: str, prefixes: tuple[str, ...]) -> None:
        super().__init__(f"The route {path} is outside the declared prefixes {' or '.join(prefixes)}.")


class LaterRoutes(BaseRoute):
    """Stands in the application's list for a router that is not imported yet, and is replaced by it.

    Parameters
    ----------
    prefixes: the paths it answers at, each with everything below it; a request for another path goes past it.
    load: imports and returns it. It runs once; a request that it fails for is answered with its error, and the
        next one tries again.
    """

    def __init__(self, application: FastAPI, prefixes: Iterable[str], load: Callable[[], APIRouter]) -> None:
        self._application = application
        self._prefixes = tuple(prefixes)
        self._folders = tuple(f"{prefix}/" for prefix in self._prefixes)
        self._load = load
        self._lock = asyncio.Lock()

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the router may answer."""
        asked = scope["type"] in ("http", "websocket") and self._is_below(_path_below_root(scope))
        return (Match.FULL if asked else Match.NONE), {}

    def _is_below(self, path: str) -> bool:
        return f"{path}/".startswith(self._folders)

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:  # noqa: ANN401 - as Starlette declares it
        """Its routes have no names until they are there; templates write these addresses out."""
        raise NoMatchFound(name, path_params)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Bring the router in and let the application look again."""
        async with self._lock:
            if self in self._application.routes:
                # In a thread, since others are being answered meanwhile.
                self.replace(await asyncio.to_thread(self._load))
        await self._application.router(scope, receive, send)

    def replace(self, router: APIRouter | None = None) -> None:
        """Put the router at this place of the list. Raises RouteOutOfReach."""
        router = router or self._load()
        for path in (route.path or "" for route in iter_route_contexts(router.routes)):
            if not self._is_below(path):
                raise RouteOutOfReach(path, self._prefixes)
        self._application.include_router(router)
        routes = self._application.router.routes
        routes[routes.index(self)] = routes.pop()


def _path_below_root(scope: Scope) -> str:
    """Return a request's path without the prefix that a proxy stripped, which ASGI has in `path` and `root_path`."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/"))


class Application(FastAPI):
    """A FastAPI application some of whose routes may still have to come; its API document knows all of them."""

    def openapi(self) -> dict[str, Any]:
        """Describe the API."""
        for route in list(self.routes):
            if isinstance(route, LaterRoutes):
                route.replace()
        return super().openapi()
