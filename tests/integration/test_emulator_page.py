"""The emulator's page: who may reach it, what it tells and does."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from leapcell_emulator.page import HEADER
from tests.services.emulator import RunningEmulator, running, until

ORDER = {HEADER: "1"}


@pytest.fixture
async def emulator() -> AsyncIterator[RunningEmulator]:
    async with running("plain_fastapi", max_request_body=1000) as started:
        yield started


async def act(emulator: RunningEmulator, action: object, instance: str | None = None, **options: Any) -> httpx.Response:
    options.setdefault("headers", ORDER)
    return await emulator.client.post("/__emulator/act", json={"action": action, "instance": instance}, **options)


async def test_state_and_pages(emulator: RunningEmulator) -> None:
    state = (await emulator.client.get("/__emulator/state")).json()
    assert [instance["name"] for instance in state["instances"]] == ["i1", "i2"]
    assert state["requests"] == []  # the page's own are not the application's
    for path in ("/__emulator", "/__emulator/", "/__emulator/page.css", "/__emulator/page.js"):
        answer = await emulator.client.get(path)
        assert answer.status_code == 200
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    assert (await emulator.client.get("/__emulator/other")).status_code == 404
    assert (await emulator.client.post("/__emulator/state")).status_code == 405
    assert (await emulator.client.get("/__emulator/act")).status_code == 405


async def test_a_request_with_all_that_belongs_to_it(emulator: RunningEmulator) -> None:
    await emulator.client.post("/write", params={"path": "x.txt"}, headers={"X-Who": "Ada"})
    await emulator.client.post("/echo", content=b"\xff\x00'", headers={"Content-Type": "image/x"})
    await emulator.client.post("/echo", content=b"x" * 2000)
    first, second, third = (await emulator.client.get("/__emulator/state")).json()["requests"]
    found = (await emulator.client.get(f"/__emulator/requests/{first['number']}")).json()
    assert (found["method"], found["path"], found["status"]) == ("POST", "/write?path=x.txt", 200)
    assert ["x-who", "Ada"] in [[name.lower(), value] for name, value in found["request"]["headers"]]
    assert "Read-only file system" in found["answer"]["body"]
    assert any("Read-only file system" in line for line in found["log"])
    # E4 may follow: the application has a thread that always does something.
    assert (found["rules"][0], first["rules"][0]) == ("E1", "E1")
    times = found["times"]
    assert 0 < times["application"] <= times["total"]
    assert times["cold"] == 0
    assert "curl -i -X POST" in found["curl"]
    assert "'X-Who: Ada'" in found["curl"]
    found = (await emulator.client.get(f"/__emulator/requests/{second['number']}")).json()
    assert (found["request"]["encoding"], found["request"]["size"]) == ("base64", 3)
    assert third["rules"][0] == "E6"
    assert (await emulator.client.get("/__emulator/requests/99")).status_code == 404
    # Again, with the same body.
    answer = await act(emulator, "replay", str(second["number"]))
    assert answer.json()["message"].startswith("POST /echo was answered with 200, 10 bytes, in ")
    assert (await act(emulator, "replay", str(third["number"]))).status_code == 409  # its body was not read
    assert (await act(emulator, "replay", "99")).status_code == 404
    har = (await emulator.client.get("/__emulator/har")).json()["log"]
    assert [entry["request"]["url"].rpartition("/")[2] for entry in har["entries"]] == [
        "write?path=x.txt",
        *["echo"] * 3,
    ]
    assert har["entries"][0]["comment"].startswith("E1")
    assert har["entries"][0]["response"]["content"]["mimeType"] == "application/json"


async def test_page_loads_nothing_from_elsewhere(emulator: RunningEmulator) -> None:
    text = (await emulator.client.get("/__emulator")).text
    assert "https://" not in text
    assert "//cdn" not in text


async def test_a_foreign_host_is_refused(emulator: RunningEmulator) -> None:
    for host in ("emulator.example", "127.0.0.1.example:8080", "example", "[::2]", "[", "a:b", ""):
        for path in ("/__emulator", "/__emulator/state"):
            answer = await emulator.client.get(path, headers={"Host": host})
            assert answer.status_code == 403, host
            assert "127.0.0.1" in answer.json()["hint"]
        assert (await act(emulator, "kill", "i1", headers={**ORDER, "Host": host})).status_code == 403
    assert emulator.instance("i1")["state"] != "gone"


async def test_names_of_this_machine(emulator: RunningEmulator) -> None:
    for host in ("localhost", "127.0.0.1", "[::1]:8080", "LOCALHOST:1"):
        assert (await emulator.client.get("/__emulator/state", headers={"Host": host})).status_code == 200, host


async def test_what_another_origin_sends_is_refused(emulator: RunningEmulator) -> None:
    for headers in ({}, {**ORDER, "Origin": "https://evil.example"}, {**ORDER, "Origin": "null"}):
        assert (await act(emulator, "kill", "i1", headers=headers)).status_code == 403
    # What a browser would ask first is not granted.
    preflight = await emulator.client.options("/__emulator/act", headers={"Origin": "https://evil.example"})
    assert preflight.status_code == 405
    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert emulator.instance("i1")["state"] != "gone"


async def test_actions(emulator: RunningEmulator) -> None:
    for action in ("freeze", "thaw", "wipe", "sleep"):
        answer = await act(emulator, action, "i1")
        assert answer.status_code == 200
        assert "i1" in answer.json()["message"]
    assert emulator.instance("i1")["state"] == "dormant"
    assert (await act(emulator, "kill", "i2")).status_code == 200
    assert emulator.instance("i2")["state"] == "gone"
    assert (await act(emulator, "kill", "i2")).status_code == 404
    assert (await act(emulator, "explode")).json()["hint"].startswith("It knows")
    assert (await act(emulator, 5)).status_code == 400


async def test_malformed_orders(emulator: RunningEmulator) -> None:
    for body in (b"", b"{", b"[]", b'"kill"', b'{"instance": "i1"}', b"\xff", b"[" * 4096):
        answer = await emulator.client.post("/__emulator/act", content=body, headers=ORDER)
        assert answer.status_code == 400, body
        assert "freeze" in answer.json()["hint"]


async def test_a_deployment_goes_on_when_its_page_is_closed(emulator: RunningEmulator) -> None:
    port = httpx.URL(emulator.emulator.url).port
    body = '{"action": "deploy"}'
    head = f"POST /__emulator/act HTTP/1.1\r\nHost: 127.0.0.1\r\n{HEADER}: 1\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall((head + body).encode())
        await until(lambda: emulator.emulator.state()["deploying"])
    await until(lambda: not emulator.emulator.state()["deploying"])
    assert emulator.instance("i4")["deployment"] == 2
