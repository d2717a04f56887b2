"""Each rule, proved by an application that breaks it. One emulator for all, with small limits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from leapcell_emulator.processes import descendants
from tests.services.emulator import RunningEmulator, running, until

KIB = 1024
MIB = 1024 * KIB

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[RunningEmulator]:
    async with running(
        "plain_fastapi",
        max_request_body=MIB,
        request_timeout=3.0,
        max_concurrency=5,
        variables={"GREETING": "hello"},
    ) as emulator:
        yield emulator


def frozen(service: RunningEmulator) -> bool:
    return {instance["state"] for instance in service.emulator.state()["instances"]} == {"frozen"}


async def test_requests_go_to_the_instances_in_turn(service: RunningEmulator) -> None:
    before = {name: service.instance(name)["served"] for name in ("i1", "i2")}
    for _ in range(4):
        assert (await service.client.get("/")).status_code == 200
    assert {name: service.instance(name)["served"] - before[name] for name in ("i1", "i2")} == {"i1": 2, "i2": 2}


async def test_the_project_is_read_only_and_the_log_says_so(service: RunningEmulator) -> None:
    answer = await service.client.post("/write", params={"path": "state.txt"})
    assert "Read-only file system" in answer.text
    assert (await service.client.post("/write", params={"path": "/var/x"})).text != "written"
    await until(lambda: service.fired("read_only"))
    event = service.fired("read_only")[0]
    assert (event.rule, event.source) == ("E1", "https://docs.leapcell.io/limit/")
    assert "state.txt was written to" in event.message


async def test_each_instance_has_its_own_tmp(service: RunningEmulator) -> None:
    name = f"emulator-{uuid.uuid4().hex}"
    await service.client.post("/write", params={"path": f"/tmp/{name}"})
    seen = [(await service.client.get("/")).json()["temp"] for _ in range(2)]
    assert sorted(seen) == [[], [name]]
    assert name not in os.listdir("/tmp")  # noqa: PTH208


async def test_wiping_tmp(service: RunningEmulator) -> None:
    for _ in range(2):
        await service.client.post("/write", params={"path": "/tmp/mine"})
    assert service.instance("i1")["temp_files"] >= 1
    for name in ("i1", "i2"):
        await service.emulator.act("wipe", name)
    assert [(await service.client.get("/")).json()["temp"] for _ in range(2)] == [[], []]


async def test_there_is_no_shared_memory(service: RunningEmulator) -> None:
    assert (await service.client.get("/lock")).text.startswith('"refused')
    await until(lambda: service.fired("shared_memory"))
    assert service.fired("shared_memory")[0].rule == "E2"


async def test_an_instance_without_a_request_in_hand_is_stopped(service: RunningEmulator) -> None:
    await service.client.get("/")
    await until(lambda: frozen(service))
    await until(lambda: all(_stopped(service.instance(name)["pid"]) for name in ("i1", "i2")))
    await asyncio.sleep(0.5)
    for _ in range(2):  # each has the time to tick again
        await service.client.get("/slow", params={"seconds": 0.1})
    gaps = [(await service.client.get("/ticks")).json()["longest"] for _ in range(2)]
    assert min(gaps) > 0.4


async def test_it_runs_while_a_request_is_in_hand(service: RunningEmulator) -> None:
    slow = asyncio.create_task(service.client.get("/slow", params={"seconds": 0.5}))
    await until(lambda: service.emulator.fleet.in_hand == 1)
    states = [instance["state"] for instance in service.emulator.state()["instances"]]
    assert sorted(states) == ["frozen", "running"]
    await slow
    await until(lambda: frozen(service))


async def test_work_that_goes_on_after_the_answer_is_reported_once(service: RunningEmulator) -> None:
    """The thread that ticks: asleep when its instance is stopped, or ticking."""
    found = []
    for _ in range(4):
        await service.client.get("/ticks")
        await until(lambda: frozen(service))
        await asyncio.sleep(0.25)  # it looks again after 0.2 s
        found = [event for event in service.fired("freeze") if event.path == "GET /ticks"]
    assert len(found) == len({event.message for event in found}) >= 1
    assert "which was asleep, was stopped: no request in flight." in found[0].message


async def test_what_follows_from_each_request_is_said_once(service: RunningEmulator) -> None:
    for _ in range(4):
        await service.client.get("/")
    (event,) = service.fired("instances")
    assert "the one before to i" in event.message
    assert len(service.fired("forwarded_proto")) == 1
    probes = [event.message for event in service.fired("stray_probes")]
    assert probes[0] == "/kaithhealthcheck (answered with 404) was requested too, as LeapCell does."
    assert len(probes) == 2


async def test_a_request_carries_the_rules_that_fired(service: RunningEmulator) -> None:
    await service.client.post("/write", params={"path": "of-a-request"})
    rows = [row for row in service.emulator.journal.requests if row.path == "/write?path=of-a-request"]
    await until(lambda: "E1" in rows[-1].rules)


async def test_a_request_that_takes_too_long_is_cut_off(service: RunningEmulator) -> None:
    answer = await service.client.get("/slow", params={"seconds": 20})
    assert answer.status_code == 504
    assert answer.text == "The request took longer than 3 s and was cut off.\n"
    assert service.fired("request_timeout")[0].path == "GET /slow"
    assert (await service.client.get("/")).status_code == 200


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_that_is_too_big(service: RunningEmulator, declared: bool) -> None:
    async def chunks(size: int) -> AsyncIterator[bytes]:
        for _ in range(size // (64 * KIB)):
            yield b"x" * 64 * KIB

    async def send(size: int) -> httpx.Response:
        content = b"x" * size if declared else chunks(size)
        return await service.client.post("/echo", content=content)

    assert (await send(MIB)).json() == {"size": MIB}
    answer = await send(2 * MIB)
    assert answer.status_code == 413
    assert answer.text == "The request's body is bigger than 1 MiB.\n"


async def test_a_request_line_that_is_too_long(service: RunningEmulator) -> None:
    assert (await service.client.get("/", params={"q": "x" * 16_000})).status_code == 200
    answer = await service.client.get("/", params={"q": "x" * 17_000})
    assert (answer.status_code, service.fired("max_request_line")[0].rule) == (414, "E6")


async def test_a_header_that_is_too_big(service: RunningEmulator) -> None:
    answer = await service.client.get("/", headers={"X-Large": "x" * 17_000})
    assert (answer.status_code, answer.text) == (431, "The header X-Large is bigger than 16 KiB.\n")


async def test_headers_that_are_too_big_together(service: RunningEmulator) -> None:
    fits = {f"X-Large-{number}": "x" * 10_000 for number in range(6)}
    # uvicorn's own limit is 64 KiB for all: within LeapCell's, its answer passes.
    assert (await service.client.get("/", headers=fits)).status_code == 200
    answer = await service.client.get("/", headers={**fits, "X-Large-6": "x" * 10_000})
    assert (answer.status_code, "more than 64 KiB" in answer.text) == (431, True)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET http://shop.example/headers?x=1 HTTP/1.1", 200),
        ("GET http://shop.example HTTP/1.1", 200),
        ("OPTIONS * HTTP/1.1", 204),
        ("GET * HTTP/1.1", 400),
        ("CONNECT shop.example:443 HTTP/1.1", 405),
        ("GET ftp://shop.example/ HTTP/1.1", 400),
        ("GET http://jo@shop.example/ HTTP/1.1", 400),
        ("GET nowhere HTTP/1.1", 400),
        ("nonsense", 400),
    ],
)
async def test_every_form_of_a_target(
    service: RunningEmulator, caplog: pytest.LogCaptureFixture, line: str, status: int
) -> None:
    answer = await raw(service, f"{line}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    assert int(answer.split()[1]) == status, answer
    if "/headers" in line:
        assert '"host":"shop.example"' in answer
    assert not [record for record in caplog.records if record.exc_info], "no traceback for what a client sends"
    assert (await service.client.get("/")).status_code == 200


async def test_a_client_that_leaves_before_it_sends_the_body(
    service: RunningEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    head = b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
    for _ in range(3):
        _, writer = await connect(service)
        writer.write(head)
        await writer.drain()
        writer.close()
    assert (await service.client.get("/")).status_code == 200
    await until(lambda: service.emulator.fleet.in_hand == 0)
    assert caplog.records == []


async def connect(service: RunningEmulator) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", service.client.base_url.port)


async def raw(service: RunningEmulator, request: bytes) -> str:
    reader, writer = await connect(service)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 20)
    writer.close()
    return answer.decode()


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_that_is_too_big_is_cut_off(service: RunningEmulator, stream: bool) -> None:
    fits = await service.client.get("/big", params={"size": 5 * MIB, "stream": stream})
    assert len(fits.content) == 5 * MIB
    before = len(service.fired("max_response_body"))
    received = 0
    async with service.client.stream("GET", "/big", params={"size": 6 * MIB, "stream": stream}) as answer:
        with contextlib.suppress(httpx.RemoteProtocolError):
            async for chunk in answer.aiter_raw():
                received += len(chunk)
    assert received == 5 * MIB
    [event] = service.fired("max_response_body")[before:]
    assert event.message.startswith("Response is bigger than the maximum allowed size")


async def test_an_answers_headers_that_are_too_big(service: RunningEmulator) -> None:
    assert (await service.client.get("/head", params={"size": 20_000})).status_code == 200
    assert (await service.client.get("/head", params={"size": 40_000})).status_code == 502


async def test_no_websocket(service: RunningEmulator) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "x", "Sec-WebSocket-Version": "13"}
    answer = await service.client.get("/socket", headers=headers)
    assert (answer.status_code, service.fired("websockets")[0].rule) == (501, "E8")


async def test_a_stream_comes_as_it_is_sent_and_ends_with_the_request_timeout(service: RunningEmulator) -> None:
    async with service.client.stream("GET", "/events", params={"count": 100, "pause": 1.0}) as answer:
        chunks = answer.aiter_raw()
        assert await anext(chunks) == b"data: 0\n\n", "by itself, and not with what follows"
        with pytest.raises(httpx.RemoteProtocolError):
            async for _ in chunks:
                pass
    assert service.fired("request_timeout")[-1].path == "GET /events"


async def test_a_request_after_a_long_freeze(service: RunningEmulator) -> None:
    """The connections to an instance are used again while it would, and not after."""
    for pause in (0.5, 1.4, 2.1):
        for _ in range(2):
            assert (await service.client.post("/echo", content=b"12345")).json() == {"size": 5}
        await asyncio.sleep(pause)
    assert (await service.client.post("/echo", content=b"12345")).status_code == 200


async def test_more_requests_at_a_time_than_allowed(service: RunningEmulator) -> None:
    answers = await asyncio.gather(*(service.client.get("/slow", params={"seconds": 1.5}) for _ in range(7)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 2
    assert service.fired("max_concurrency")[0].rule == "E12"


async def test_the_headers_of_a_proxy(service: RunningEmulator) -> None:
    sent = {"X-Forwarded-For": "10.1.1.1", "Connection": "X-Mine", "X-Mine": "1", "X-Other": "2"}
    seen = (await service.client.get("/headers", headers=sent)).json()
    headers = seen["headers"]
    assert headers["x-forwarded-for"] == "10.1.1.1, 127.0.0.1"
    assert headers["x-forwarded-proto"] == "http"
    assert headers["host"] == headers["x-forwarded-host"] == service.emulator.url.removeprefix("http://")
    assert "x-mine" not in headers
    assert headers["x-other"] == "2"


async def test_the_environment_is_the_services_and_nothing_else(
    service: RunningEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = (await service.client.get("/environment")).json()
    assert environment["GREETING"] == "hello"
    assert environment["PORT"] == "8080"
    assert "PYTEST_CURRENT_TEST" not in environment
    assert set(environment) - {"PATH", "LANG", "HOME", "VIRTUAL_ENV", "PWD", "SHLVL", "_", "OLDPWD"} == {
        "GREETING",
        "PORT",
    }


async def test_headers_and_cookies_come_through_as_they_are(service: RunningEmulator) -> None:
    answer = await service.client.get("/cookies")
    assert len(answer.headers.get_list("set-cookie")) == 2
    assert answer.headers["server"] == "uvicorn"


async def test_a_client_that_expects_to_be_told_to_go_on(service: RunningEmulator) -> None:
    reader, writer = await _connect(service)
    writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
    assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 100 Continue\r\n"
    assert await reader.readline() == b"\r\n"
    writer.write(b"12345")
    assert await asyncio.wait_for(reader.readline(), 5) == b"HTTP/1.1 200 OK\r\n"
    writer.close()


async def test_a_client_that_goes_away_leaves_nothing_in_hand(service: RunningEmulator) -> None:
    _, writer = await _connect(service)
    writer.write(b"GET /slow?seconds=2.5 HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: service.emulator.fleet.in_hand == 1)
    writer.close()
    await until(lambda: service.emulator.fleet.in_hand == 0)
    assert service.emulator.state()["requests"][-1]["status"] == 0


async def test_answers_without_a_body(service: RunningEmulator) -> None:
    for _ in range(2):
        answer = await service.client.head("/cached")
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "1000", b"")
        answer = await service.client.get("/cached", headers={"If-None-Match": '"1"'})
        assert (answer.status_code, answer.headers["etag"], answer.content) == (304, '"1"', b"")
        assert "transfer-encoding" not in answer.headers
        assert len((await service.client.get("/cached")).content) == 1000


async def test_a_client_of_http_1_0(service: RunningEmulator) -> None:
    for path, length in (("/cached", 1000), (f"/big?size={MIB}&stream=1", MIB)):
        reader, writer = await _connect(service)
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        head, _, body = (await asyncio.wait_for(reader.read(), 5)).partition(b"\r\n\r\n")
        assert b" 200 OK" in head
        assert b"chunked" not in head.lower()
        assert len(body) == length
        writer.close()


async def test_a_garbled_request_does_no_harm(service: RunningEmulator) -> None:
    reader, writer = await _connect(service)
    writer.write(b"\x16\x03\x01 not http\r\n\r\n")
    assert b"400" in await asyncio.wait_for(reader.readline(), 5)
    writer.close()
    assert (await service.client.get("/")).status_code == 200


async def test_the_misspelled_health_paths_are_asked_for(service: RunningEmulator) -> None:
    asked = "\n".join(line for _, line in service.lines)
    for path in ("/kaithhealth ", "/kaithhealthcheck ", "/kaithheathcheck "):
        assert path in asked


async def test_the_state_is_json_and_knows_every_request(service: RunningEmulator) -> None:
    await service.client.get("/", headers={"X-Large": "x" * 17_000})
    await service.client.get("/headers")
    state = json.loads(json.dumps(service.emulator.state()))
    last = state["requests"][-1]
    assert (last["path"], last["status"]) == ("/headers", 200)
    assert last["instance"] in ("i1", "i2")
    assert next(rule for rule in state["rules"] if rule["name"] == "max_header")["fired"] >= 1
    assert state["manifest"]["memory"] == "512mb"


def _stopped(outer: int) -> bool:
    """Whether every process but the namespace's first is stopped."""
    _init, *below = descendants(outer)
    states = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] for pid in below]
    return bool(states) and set(states) == {"T"}


async def _connect(service: RunningEmulator) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(service.emulator.url.rpartition(":")[2]))
