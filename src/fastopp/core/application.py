"""The FastOpp application, which uvicorn runs.

It is light on purpose. A platform asks for the health path before anything else, on a small share of a
core; that answer needs neither FastAPI nor SQLAlchemy, so they are not imported for it.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import traceback
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastopp import logs
from fastopp.cache.current import Current, current_cache
from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.allocator import return_freed_memory
from fastopp.core.app_settings import app_settings
from fastopp.core.apps import App, AppError, find_apps
from fastopp.core.garbage import lasting_objects
from fastopp.errors import FastOppError
from fastopp.process_age import process_age
from fastopp.recording import ARRIVAL
from fastopp.settings import Settings, SettingsError, load_settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from fastopp.core.runtime import Runtime
    from fastopp.storage.base import Storage

    Assemble = Callable[
        [Settings, tuple[App, ...], Clock, Storage | None, str, str],
        tuple[FastAPI, AbstractAsyncContextManager[Runtime]],
    ]

# The ASGI types, spelled out since importing them from Starlette would cost a cold start 80 ms.
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

EXIT_MISCONFIGURED = 2

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

_HEALTHY = b'{"status":"ok"}'


class FastOpp:
    """A FastOpp project as an ASGI application.

    Parameters
    ----------
    apps: import paths of the project's apps, like `"demo.products"`; earlier ones win where routes clash.
    title: the name of the site, on its pages, in the admin and in the API's documentation.
    description: the site in a sentence, for the footer and search engines.
    settings: read from the environment and `.env` when not given.
    clock, storage: others than the system's and the settings', for tests.

    A mistake in the settings or in the list of apps is printed, all mistakes at once, and ends the process
    with status 2 before it listens.
    """

    def __init__(
        self,
        apps: Iterable[str] = (),
        *,
        title: str = "FastOpp",
        description: str = "",
        settings: Settings | None = None,
        clock: Clock = SYSTEM_CLOCK,
        storage: Storage | None = None,
    ) -> None:
        self.title = title
        self.description = description
        try:
            self.apps: tuple[App, ...] = find_apps(apps)
            kinds = app_settings(self.apps)
            self.settings = settings or load_settings(app_settings=kinds)
            for kind in kinds:
                self.settings.of(kind)  # read now, so that a mistake ends the process before it listens
        except (SettingsError, AppError) as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(EXIT_MISCONFIGURED) from None
        self._logs = logs.is_served()
        if self._logs:  # now, so that the server's first lines are as all others
            logs.configure(self.settings)
        self._clock, self._storage = clock, storage
        self._stack = AsyncExitStack()
        self._starting: asyncio.Task[FastAPI] | None = None
        self._asked = False
        self._startup = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"] in self.settings.platform.health_paths:
            await _answer_health(scope, send)
        else:
            if self._starting is None or not self._starting.done() or not self._asked:
                self._asked = True
                scope[ARRIVAL] = (time.perf_counter(), self._startup)
            application = await self.start()
            keeps = scope.get("method", "GET") in _SAFE_METHODS
            before = current_cache.set(Current(application.state.runtime.shared_cache, keeps))
            try:
                await application(scope, receive, send)
            finally:
                current_cache.reset(before)

    async def start(self) -> FastAPI:
        """Build the FastAPI application and open the runtime, once; then return it.

        A start that fails is tried again by the next request.
        """
        if self._starting is None or (self._starting.done() and _failed(self._starting)):
            self._starting = asyncio.create_task(self._start())
        # Shielded, since the client that came first may go away while others wait.
        return await asyncio.shield(self._starting)

    async def stop(self) -> None:
        """Close the runtime."""
        if self._starting is not None:
            await asyncio.gather(self._starting, return_exceptions=True)
            self._starting = None
        await self._stack.aclose()
        gc.unfreeze()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[FastAPI]:
        """Start, hand out the FastAPI application, and stop; for tests and scripts."""
        try:
            yield await self.start()
        finally:
            await self.stop()

    async def _start(self) -> FastAPI:
        with lasting_objects():
            # Importing FastAPI and the apps takes a while; in a thread, health is answered meanwhile.
            assemble = await asyncio.to_thread(_import_assembly)
            application, runtime = await asyncio.to_thread(
                assemble, self.settings, self.apps, self._clock, self._storage, self.title, self.description
            )
            application.state.runtime = await self._stack.enter_async_context(runtime)
        return application

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        # Here, and not where the application is made: only a server calls this, and it is its process.
        if not self._logs:
            logs.configure(self.settings)
        return_freed_memory()
        if self.settings.platform.background_cpu:
            try:
                await self.start()
            except FastOppError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            except Exception:  # the edge: without this word the server would serve an application that cannot start
                await send({"type": "lifespan.startup.failed", "message": traceback.format_exc()})
                raise
        self._startup = process_age()
        await send({"type": "lifespan.startup.complete"})
        async with AsyncExitStack() as background:
            if self.settings.platform.background_cpu and self.settings.task_worker:
                from fastopp.tasks.worker.worker import worker_in_background  # noqa: PLC0415 - only where there is one

                application = await self.start()
                current_cache.set(Current(application.state.runtime.shared_cache))  # for the worker's tasks
                await background.enter_async_context(worker_in_background(application.state.runtime))
            await receive()
        await self.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _import_assembly() -> Assemble:
    from fastopp.web.light_fastapi import import_fastapi  # noqa: PLC0415 - like what follows

    import_fastapi()
    from fastopp.core.assembly import assemble  # noqa: PLC0415 - imports everything else

    # What type checkers read, of all libraries together: half a megabyte that is not used here.
    typing.clear_overloads()
    return assemble


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None


async def _answer_health(scope: Scope, send: Send) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(_HEALTHY)).encode()),
        (b"cache-control", b"no-store"),
    ]
    allowed = scope["method"] in ("GET", "HEAD")
    await send({"type": "http.response.start", "status": 200 if allowed else 405, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else _HEALTHY})
