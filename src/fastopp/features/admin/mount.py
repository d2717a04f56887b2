"""The admin at /admin, mounted on first use: a process without such a request never imports SQLAdmin."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from starlette.datastructures import URLPath
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Mount, NoMatchFound
from starlette.types import ASGIApp, Receive, Scope, Send

from fastopp.core.dependencies import get_runtime
from fastopp.features.admin import PATH
from fastopp.settings import Settings
from fastopp.web.middleware.body_limit import MAX_FORM

if TYPE_CHECKING:
    from fastopp.core.runtime import Runtime
    from fastopp.features.admin.site import AdminSite

NAME = "admin"  # SQLAdmin builds its links from `admin:list` and the like


def create_router(settings: Settings) -> APIRouter:
    """The route of the admin; routes below /admin that come before it win."""
    admin = LazyAdmin()
    admin.mount = Mount(PATH, app=admin, name=NAME, max_body_size=MAX_FORM)
    return APIRouter(routes=[admin.mount])


class LazyAdmin:
    """An ASGI application that builds the admin at its first request and hands every request over to it.

    Requests that come meanwhile wait for the same building. One that fails is tried again by the next request.
    """

    mount: Mount
    """The route of the application that leads here."""

    def __init__(self) -> None:
        self._building: asyncio.Task[AdminSite] | None = None

    @property
    def routes(self) -> list[BaseRoute]:
        """Return the routes mounted so far; the application's router makes links from it."""
        site = self._site()
        return site.admin.routes if site else []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        connection = HTTPConnection(scope)
        site = self._site() or await self._build(get_runtime(Request(scope)), connection.app)
        await site.admin({**scope, "router": Links(self.mount, scope["router"])}, receive, send)

    def _site(self) -> AdminSite | None:
        task = self._building
        return task.result() if task and task.done() and not _failed(task) else None

    async def _build(self, runtime: Runtime, application: ASGIApp) -> AdminSite:
        if self._building is None or (self._building.done() and _failed(self._building)):
            # In a thread, since the imports take half a second of a whole core.
            self._building = asyncio.create_task(asyncio.to_thread(_build, runtime, application))
        # Shielded, since the client that came first may go away while others wait.
        return await asyncio.shield(self._building)


class Links:
    """Makes links to the admin's pages from its own routes.

    An application looks through all its routes for each link, and a list has a hundred: a fifth of its processor time.
    """

    def __init__(self, admin: BaseRoute, application: Any) -> None:  # noqa: ANN401 - a router, FastAPI's or Starlette's
        self._admin = admin
        self._application = application

    def url_path_for(self, name: str, /, **path_params: Any) -> URLPath:  # noqa: ANN401 - as Starlette declares it
        """Return the path of a named route. Raises NoMatchFound."""
        with contextlib.suppress(NoMatchFound):
            return self._admin.url_path_for(name, **path_params)
        path: URLPath = self._application.url_path_for(name, **path_params)
        return path


def _build(runtime: Runtime, application: ASGIApp) -> AdminSite:
    from fastopp.features.admin.site import build_site  # noqa: PLC0415 - imports SQLAdmin: 390 ms

    return build_site(runtime, application)


def _failed(task: asyncio.Task[AdminSite]) -> bool:
    return task.cancelled() or task.exception() is not None
