"""Routes that come with their first visitor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, WebSocket

from fastopp.web.later import Application, LaterRoutes, RouteOutOfReach


@pytest.fixture
def loads() -> list[int]:
    return []


@pytest.fixture
def application(loads: list[int]) -> Application:
    def load() -> APIRouter:
        loads.append(1)
        router = router_of("/manage/users", "users")
        router.include_router(router_of("/manage", "start"))
        return router

    return made(load)


def made(load: Callable[[], APIRouter]) -> Application:
    application = Application()
    application.include_router(router_of("/", "home"))
    application.router.routes.append(LaterRoutes(application, ["/manage"], load))
    application.include_router(router_of("/manage/late", "an app's own"))
    return application


def router_of(path: str, answer: str) -> APIRouter:
    router = APIRouter()

    @router.get(path)
    async def endpoint() -> str:
        return answer

    return router


def client(application: Application) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def test_nothing_is_loaded_for_other_paths(application: Application, loads: list[int]) -> None:
    async with client(application) as http:
        assert (await http.get("/")).json() == "home"
        assert (await http.get("/management")).status_code == 404
    assert loads == []


async def test_the_first_request_brings_them_in_and_is_answered(application: Application, loads: list[int]) -> None:
    async with client(application) as http:
        answers = [(await http.get(path)).json() for path in ("/manage", "/manage/users", "/manage")]
    assert answers == ["start", "users", "start"]
    assert loads == [1]


async def test_simultaneous_first_requests_load_once(application: Application, loads: list[int]) -> None:
    async with client(application) as http:
        answers = await asyncio.gather(*(http.get("/manage/users") for _ in range(20)))
    assert {answer.json() for answer in answers} == {"users"}
    assert loads == [1]


async def test_what_they_do_not_answer_goes_on_to_the_next_routes(application: Application) -> None:
    async with client(application) as http:
        assert (await http.get("/manage/late")).json() == "an app's own"
        assert (await http.get("/manage/nothing")).status_code == 404
        assert (await http.post("/manage/users")).status_code == 405


async def test_a_failed_load_is_an_error_and_is_tried_again() -> None:
    tries = iter([ImportError("torn"), None])

    def load() -> APIRouter:
        if error := next(tries):
            raise error
        return router_of("/manage", "start")

    async with client(made(load)) as http:
        assert (await http.get("/manage")).status_code == 500
        assert (await http.get("/manage")).json() == "start"


async def test_a_route_that_nobody_could_reach_is_a_mistake_that_is_said() -> None:
    router = router_of("/manage", "start")
    router.include_router(router_of("/elsewhere", "out of reach"))
    application = made(lambda: router)
    async with client(application) as http:
        assert (await http.get("/manage")).status_code == 500
    with pytest.raises(RouteOutOfReach, match=r"/elsewhere is outside the declared prefixes /manage"):
        application.openapi()


async def test_a_socket_brings_them_in_too() -> None:
    router = APIRouter()

    @router.websocket("/manage/live")
    async def live(socket: WebSocket) -> None:
        await socket.accept()
        await socket.close()

    sent = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message["type"])

    scope = {"type": "websocket", "path": "/manage/live", "query_string": b"", "headers": [], "subprotocols": []}
    await made(lambda: router)(scope, receive, send)
    assert sent == ["websocket.accept", "websocket.close"]


def test_the_document_of_the_api_knows_them(application: Application, loads: list[int]) -> None:
    assert set(application.openapi()["paths"]) == {"/", "/manage", "/manage/users", "/manage/late"}
    application.openapi()
    assert loads == [1]
