"""Host names: a page whose own name was made to resolve to this machine is answered nothing."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from fastopp.settings import SettingsError
from fastopp.web.middleware.hosts import HostMiddleware, host_name, parse_hosts
from tests.services.web_project import BROWSER, client, make_app, settings

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "k" * 16 + "0123456789abcdefXYZ"}


async def statuses(tmp_path: Path, environ: dict[str, str], hosts: list[str]) -> dict[str, int]:
    async with client(make_app(tmp_path, environ)) as caller:
        return {host: (await caller.get("/where", headers={"Host": host})).status_code for host in hosts}


async def test_in_development_only_this_machines_names_are_answered(tmp_path: Path) -> None:
    own = [
        "localhost",
        "LOCALHOST:8000",
        "localhost.",
        "shop.localhost:8000",
        "127.0.0.1",
        "127.9.9.9:80",
        "[::1]:8000",
    ]
    others = [
        "rebound.example",
        "127.0.0.1.rebound.example",
        "localhost.rebound.example:8000",
        "evillocalhost",
        "192.168.1.5:8000",
        "0.0.0.0:8000",
        "[2001:db8::1]",
        "user@localhost",
        "localhost, rebound.example",
        "testserver",
        "",
    ]
    answers = await statuses(tmp_path, {"ALLOWED_HOSTS": ""}, own + others)
    assert answers == dict.fromkeys(own, 200) | dict.fromkeys(others, 400)


async def test_names_of_the_setting_are_answered_too(tmp_path: Path) -> None:
    environ = {"ALLOWED_HOSTS": "Shop.example, *.app.github.dev,192.168.1.5, fd00::5"}
    named = [
        "shop.example:8000",
        "x.app.github.dev",
        "a.b.app.github.dev",
        "192.168.1.5",
        "[fd00::5]:8000",
        "localhost",
    ]
    others = ["app.github.dev", "xapp.github.dev", "sub.shop.example", "192.168.1.50"]
    answers = await statuses(tmp_path, environ, named + others)
    assert answers == dict.fromkeys(named, 200) | dict.fromkeys(others, 400)


async def test_outside_development_the_setting_alone_decides(tmp_path: Path) -> None:
    assert await statuses(tmp_path, PRODUCTION | {"ALLOWED_HOSTS": ""}, ["any.example", "10.0.0.9"]) == {
        "any.example": 200,
        "10.0.0.9": 200,
    }
    only = PRODUCTION | {"ALLOWED_HOSTS": "shop.example", "LEAPCELL_ASYNC_URL": "https://shop.leapcell-async.dev"}
    hosts = ["shop.example", "shop.leapcell-async.dev", "any.example", "localhost"]
    assert await statuses(tmp_path, only, hosts) == {
        "shop.example": 200,
        "shop.leapcell-async.dev": 200,
        "any.example": 400,
        "localhost": 400,
    }


async def test_every_method_and_path_is_refused_and_says_how_to_allow_it(tmp_path: Path) -> None:
    rebound = {"Host": "rebound.example"}
    async with client(make_app(tmp_path)) as caller:
        for method, path in (("POST", "/enter"), ("GET", "/static/app.css"), ("GET", "/nowhere"), ("POST", "/json")):
            answer = await caller.request(method, path, headers=rebound)
            assert answer.status_code == 400
            assert "ALLOWED_HOSTS" in answer.json()["hint"]
            assert "set-cookie" not in answer.headers
        page = await caller.get("/where", headers=rebound | BROWSER)
        assert "ALLOWED_HOSTS" in page.text
        assert page.headers["x-request-id"]


async def test_websockets_are_refused_too() -> None:
    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept"})

    async def outcome(host: str) -> str:
        sent: list[str] = []

        async def send(message: Message) -> None:
            sent.append(message["type"])

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        scope = {"type": "websocket", "headers": [(b"host", host.encode())], "client": ("127.0.0.1", 5)}
        await HostMiddleware(inner, settings=settings())(scope, receive, send)
        return sent[0]

    assert await outcome("localhost:8000") == "websocket.accept"
    assert await outcome("rebound.example") == "websocket.close"


async def test_the_test_client_of_a_project_is_answered(tmp_path: Path) -> None:
    app = make_app(tmp_path, {"ALLOWED_HOSTS": ""})
    for address, status in (("testclient", 200), ("127.0.0.1", 400)):
        transport = httpx.ASGITransport(app, client=(address, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as caller:
            assert (await caller.get("/where")).status_code == status


@pytest.mark.parametrize("text", ["https://shop.example", "shop.example:8000", "shop.example/path", "a b", "*", "@"])
def test_what_is_no_host_name_is_reported(text: str) -> None:
    with pytest.raises(SettingsError, match="ALLOWED_HOSTS"):
        settings(ALLOWED_HOSTS=text)


def test_names_are_parsed() -> None:
    assert parse_hosts(" A.example ,, *.B.example,.c.example") == ("a.example", ".b.example", ".c.example")
    assert host_name("[::1]:8000") == "::1"
    assert host_name("a/b") == ""
