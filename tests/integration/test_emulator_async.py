"""The emulator's Async and its timers, in front of an application that answers as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from aiohttp import web

from fastopp.platforms.leapcell import LEAPCELL_MAX_ASYNC_BODY
from leapcell_emulator.loopback import PortTaken
from leapcell_emulator.services import async_queue
from leapcell_emulator.services.async_queue import AsyncOptions, AsyncQueue
from leapcell_emulator.services.cron import Cron, Timer


class Application:
    """A real HTTP server. `answers` are its next statuses, then it says 200; it waits while `busy` is not set."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[int] = []
        self.at_once = 0
        self.most_at_once = 0
        self.free = asyncio.Event()
        self.free.set()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.got.append((request.method, request.raw_path, dict(request.headers), await request.content.read()))
        await self.free.wait()
        self.at_once -= 1
        return web.Response(status=self.answers.pop(0) if self.answers else 200, text="done")

    async def start(self) -> str:
        self.runner = web.ServerRunner(
            web.Server(self.answer, access_log=None, auto_decompress=False), shutdown_timeout=0.1
        )
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}"


@pytest.fixture
async def application() -> AsyncIterator[Application]:
    application = Application()
    application.url = await application.start()  # type: ignore[attr-defined]
    yield application
    application.free.set()
    await application.runner.cleanup()


@pytest.fixture
def queue(application: Application) -> Callable[..., AsyncQueue]:
    """Makes a queue in front of the application."""
    return lambda notice=None, **options: AsyncQueue(
        lambda: application.url,  # type: ignore[attr-defined]
        AsyncOptions(**{"seed": 1, "retry_after": 0.01, **options}),
        notice=notice,
    )


Make = Callable[..., AsyncQueue]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - other tasks set no events
            await asyncio.sleep(0.01)


async def post(queue: AsyncQueue, count: int = 1, **options: Any) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=queue.url) as client:
        return [await client.post(f"/work/{number}", **options) for number in range(count)]


async def test_a_request_is_answered_at_once_and_delivered_later_as_it_came(
    application: Application, queue: Make
) -> None:
    application.free.clear()
    async with queue() as running:
        assert running.environment() == {"LEAPCELL_ASYNC_URL": running.url}
        async with httpx.AsyncClient(base_url=running.url) as client:
            headers = {"Authorization": "Bearer x", "Content-Encoding": "gzip"}
            answer = await client.put("/a%2Fb/ü?q=%20+", content=b"not really gzip", headers=headers)
        assert (answer.status_code, answer.content) == (202, b"")
        application.free.set()
        await running.drained()
    ((method, path, sent, body),) = application.got
    assert (method, path, body) == ("PUT", "/a%2Fb/%C3%BC?q=%20+", b"not really gzip")
    assert sent["Authorization"] == "Bearer x"
    assert sent["Content-Encoding"] == "gzip"
    assert sent["Host"] == application.url.removeprefix("http://")  # type: ignore[attr-defined]


async def test_no_more_at_a_time_than_there_are_workers(application: Application, queue: Make) -> None:
    application.free.clear()
    async with queue(workers=3) as running:
        await post(running, 10)
        await until(lambda: application.at_once == 3)
        assert running.status()["running"] == 3
        assert running.status()["waiting"] == 7
        application.free.set()
        await running.drained()
        assert running.status()["delivered"] == 10
    assert application.most_at_once == 3
    assert sorted(path for _, path, _, _ in application.got) == [f"/work/{number}" for number in range(10)]


async def test_a_body_may_have_five_megabytes(application: Application, queue: Make) -> None:
    told: list[str] = []
    async with queue(lambda rule, _: told.append(rule)) as running:
        assert (await post(running, content=bytes(LEAPCELL_MAX_ASYNC_BODY)))[0].status_code == 202
        assert (await post(running, content=bytes(LEAPCELL_MAX_ASYNC_BODY + 1)))[0].status_code == 413
        await running.drained()
        assert running.status()["refused"] == 1
    assert told == ["max_async_body"]
    assert [len(body) for _, _, _, body in application.got] == [LEAPCELL_MAX_ASYNC_BODY]


async def test_by_itself_a_delivery_is_not_repeated(application: Application, queue: Make) -> None:
    application.answers = [500]
    async with queue() as running:
        await post(running)
        await running.drained()
        assert running.status()["failed"] == 1
        (delivery,) = running.status()["requests"]
    assert (delivery["state"], delivery["status"], delivery["attempts"]) == ("failed", 500, 1)
    assert len(application.got) == 1


async def test_a_failed_delivery_is_repeated_so_many_times(application: Application, queue: Make) -> None:
    application.answers = [500, 503, 200, 500, 500, 500, 404]
    async with queue(retries=2) as running:
        for _ in range(3):
            await post(running)
            await running.drained()
        states = [(entry["state"], entry["attempts"]) for entry in running.status()["requests"]]
    assert states == [("delivered", 3), ("failed", 3), ("delivered", 1)]


async def test_an_application_that_does_not_answer(application: Application, queue: Make) -> None:
    application.free.clear()
    async with queue(timeout=0.05) as running:
        await post(running)
        await running.drained()
        assert running.status()["requests"][0]["status"] is None
        assert running.status()["failed"] == 1
    await application.runner.cleanup()
    async with queue() as running:
        await post(running)
        await running.drained()
        assert running.status()["failed"] == 1


async def test_requests_are_lost_and_doubled_by_chance(application: Application, queue: Make) -> None:
    told: list[str] = []
    async with queue(lambda rule, _: told.append(rule), drop=0.3, duplicate=0.5, workers=4) as running:
        await post(running, 40)
        await running.drained()
        lost, delivered = running.status()["lost"], running.status()["delivered"]
    assert 0 < lost < 40
    assert len(application.got) == delivered > 40 - lost
    assert told.count("async_drop") == lost
    assert told.count("async_duplicate") == delivered - (40 - lost)


async def test_the_next_is_delivered_twice_when_asked_for(application: Application, queue: Make) -> None:
    async with queue() as running:
        running.deliver_twice()
        assert running.status()["deliver_twice"]
        await post(running, 2)
        await running.drained()
        assert not running.status()["deliver_twice"]
    assert sorted(path for _, path, _, _ in application.got) == ["/work/0", "/work/0", "/work/1"]


async def test_a_delay_ends_with_the_queue(application: Application, queue: Make) -> None:
    async with queue(delay=0.05) as running:
        await post(running)
        assert application.got == []
        await running.drained()
        assert len(application.got) == 1
    async with queue(delay=600) as running:
        await post(running)
        assert running.status()["waiting"] == 1
    assert len(application.got) == 1


async def test_a_queue_that_is_full(application: Application, queue: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_queue, "MAX_WAITING", 2)
    async with queue(delay=600) as running:
        assert [answer.status_code for answer in await post(running, 3)] == [202, 202, 503]


async def test_a_port_that_is_taken(queue: Make) -> None:
    async with queue() as running:
        with pytest.raises(PortTaken, match="--async-port"):
            await queue(port=running.port).__aenter__()


async def test_timers_call_again_and_again(application: Application) -> None:
    application.answers = [200, 401]
    often = Timer(path="/tick?a=1", every=0.01, headers={"Authorization": "Bearer x"})
    rarely = Timer(path="/yearly", schedule="0 0 1 1 *")
    async with Cron([often, rarely], lambda: application.url) as cron:  # type: ignore[attr-defined]
        await until(lambda: len(application.got) >= 4)
        first, second = cron.status()["timers"]
        assert first["calls"] >= 3
        assert first["failures"] == 1
        assert "x" not in str(cron.status()).replace("next", "")
        assert (second["calls"], second["due"][5:]) == (0, "01-01T00:00:00.000+00:00")
        await cron.call(rarely)
        assert rarely.status == 200
    assert {method for method, _, _, _ in application.got} == {"POST"}
    assert application.got[0][1] == "/tick?a=1"
    assert application.got[0][2]["Authorization"] == "Bearer x"
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in application.got]
    assert len(set(keys)) == len(keys)


async def test_a_timer_does_not_wait_for_its_last_call_nor_for_an_application_that_is_down(
    application: Application,
) -> None:
    application.free.clear()
    async with Cron([Timer(path="/slow", every=0.01)], lambda: application.url):  # type: ignore[attr-defined]
        await until(lambda: application.at_once >= 3)
    down = Timer(path="/down", every=0.01)
    async with Cron([down], lambda: "http://127.0.0.1:1"):
        await until(lambda: down.failures >= 3)
    assert down.status is None
