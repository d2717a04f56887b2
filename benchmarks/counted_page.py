"""An instance with one slow function, which counts how often it ran here."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from fastopp import cached
from fastopp.core.application import FastOpp

_count = 0


@cached(60)
async def slow() -> str:
    """Take a while."""
    global _count  # noqa: PLW0603 - the figure of this process
    _count += 1
    await asyncio.sleep(1)
    return "done"


def app() -> ASGIApp:
    """Return the application."""
    router = APIRouter()

    @router.get("/slow")
    async def page() -> PlainTextResponse:
        return PlainTextResponse(await slow())

    @router.get("/computed")
    async def computed() -> PlainTextResponse:
        return PlainTextResponse(str(_count))

    application = FastOpp()
    added = False

    async def asgi(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal added
        if scope["type"] == "http" and not added:
            added = True
            started: FastAPI = await application.start()
            started.include_router(router)
        await application(scope, receive, send)

    return asgi
