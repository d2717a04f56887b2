"""Clients of a project under test: browsers that are signed in, without a password and without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

import httpx
from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from fastopp.features.accounts.models import User
from fastopp.features.accounts.sessions import begin_session
from fastopp.features.mail.models import MailMessage
from fastopp.testing.project import Project
from fastopp.web import csrf_tokens
from fastopp.web.middleware.sessions import SchemeAwareSessions

HOST = "testserver"
ADDRESS = ("203.0.113.1", 50000)
"""The address of clients, of those for documentation (RFC 5737): on this machine, anyone is an operator."""

T = TypeVar("T")

ClientAs = Callable[[User | str], httpx.Client]
Outbox = Callable[[], Sequence[MailMessage]]
AsyncClientAs = Callable[[User | str], Awaitable[httpx.AsyncClient]]


class Run(Protocol):
    """Runs a coroutine to its end."""

    def __call__(self, coroutine: Coroutine[Any, Any, T], /) -> T:
        """Return the coroutine's result."""
        ...


def run_on(loop: asyncio.AbstractEventLoop) -> Run:
    """Return a function that runs coroutines on a loop which is idle while a test without `async` runs."""

    def run(coroutine: Coroutine[Any, Any, T], /) -> T:
        if loop.is_running():
            coroutine.close()
            raise RuntimeError("An asynchronous test awaits: use `async_client` and `await`, not `client` and `run`.")
        return loop.run_until_complete(coroutine)

    return run


async def open_async_client(project: Project, user: User | None = None) -> httpx.AsyncClient:
    """Return a client for asynchronous tests, signed in as a user."""
    options = await _browser(project, user)
    return httpx.AsyncClient(transport=_transport(project.application), **options)


def open_client(project: Project, run: Run, user: User | None = None) -> httpx.Client:
    """Return a client for synchronous tests, signed in as a user."""
    options = run(_browser(project, user))
    return httpx.Client(transport=BlockingTransport(_transport(project.application), run), **options)


class BlockingTransport(httpx.BaseTransport):
    """Sends the requests of a synchronous client through an asynchronous transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport, run: Run) -> None:
        self._transport = transport
        self._run = run

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer, with its whole body."""
        sent = httpx.Request(request.method, request.url, headers=request.headers, content=request.read())
        return self._run(self._send(sent))

    async def _send(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        assert isinstance(answer.stream, httpx.AsyncByteStream)  # noqa: S101 - as of every asynchronous transport
        body = b"".join([piece async for piece in answer.stream])
        return httpx.Response(answer.status_code, headers=answer.headers.raw, content=body)


def _transport(application: Any) -> httpx.ASGITransport:  # noqa: ANN401 - an ASGI application
    return httpx.ASGITransport(application, client=ADDRESS)


async def _browser(project: Project, user: User | None) -> dict[str, Any]:
    """Return the options of a client with the cookies of a session, and with the token that its forms would carry."""

    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        request, response = Request(scope), Response()
        if user is not None:
            await begin_session(request, response, user, project.runtime)
        response.headers[csrf_tokens.HEADER] = csrf_tokens.token(request)
        await response(scope, receive, send)

    sessions = SchemeAwareSessions(begin, signing_keys=project.settings.signing_keys)
    base_url = f"http://{HOST}"
    async with httpx.AsyncClient(transport=_transport(sessions), base_url=base_url) as client:
        answer = await client.get("/")
        headers = {csrf_tokens.HEADER: answer.headers[csrf_tokens.HEADER]}
        return {"base_url": base_url, "cookies": client.cookies, "headers": headers}
