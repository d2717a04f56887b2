"""Looks into the services from the page, and changes while the emulator runs. One emulator with all services."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import obstore
import psycopg
import pytest
import pytest_asyncio
from obstore.store import S3Store

from leapcell_emulator.page import HEADER
from leapcell_emulator.parts import make_services
from tests.services.emulator import RunningEmulator, running, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service() -> AsyncIterator[RunningEmulator]:
    services = make_services(database=True, object_storage=True, redis=True, cron=None)
    async with running("plain_fastapi", async_port=0, services=services, instances=1) as emulator:
        yield emulator


async def look(service: RunningEmulator, path: str, **query: Any) -> dict[str, Any]:
    answer = await service.client.get(f"/__emulator/look/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def act(service: RunningEmulator, action: str, target: str = "") -> httpx.Response:
    order = {"action": action, "instance": target}
    return await service.client.post("/__emulator/act", json=order, headers={HEADER: "1"})


async def connect(service: RunningEmulator) -> psycopg.AsyncConnection[Any]:
    return await psycopg.AsyncConnection.connect(
        service.emulator.variables["DATABASE_URL"], autocommit=True, prepare_threshold=None
    )


async def test_tables_and_rows_of_the_database(service: RunningEmulator) -> None:
    async with await connect(service) as connection:
        await connection.execute('create table "odd name" (id int primary key, "select" text, data bytea)')
        await connection.execute(
            "insert into \"odd name\" select n, repeat('x', 1000), null from generate_series(1, 60) n"
        )
        await connection.execute("create table empty ()")
        await connection.execute("create view broken as select 1 / (count(*) - count(*)) as n from empty")
    tables = await look(service, "postgres")
    assert tables["columns"] == ["Table", "Rows", "Size"]
    counts = {row[0]: row[1] for row in tables["rows"]}
    assert counts.items() >= {("public.odd name", "60"), ("public.empty", "0"), ("public.broken", "1")}
    first = await look(service, "postgres", of="public.odd name")
    assert first["columns"] == ["id", "select", "data"]
    assert (len(first["rows"]), first["more"]) == (50, True)
    assert first["rows"][0] == ["1", "x" * 300 + "…", "NULL"]
    rest = await look(service, "postgres", of="public.odd name", after=50)
    assert ([row[0] for row in rest["rows"]], rest["more"]) == ([str(n) for n in range(51, 61)], False)
    assert (await look(service, "postgres", of="public.empty"))["rows"] == []
    answer = await service.client.get("/__emulator/look/postgres", params={"of": "public.broken"})
    assert (answer.status_code, "division by zero" in answer.json()["message"]) == (400, True)


@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        ("postgres", {"of": "public.nothing"}, 404),
        ("postgres", {"of": "pg_catalog.pg_authid"}, 404),
        ("postgres", {"after": "-1"}, 400),
        ("postgres", {"after": "9" * 30}, 400),
        ("nothing", {}, 404),
        ("redis", {"of": "nothing"}, 404),
    ],
)
async def test_what_cannot_be_seen(service: RunningEmulator, path: str, query: dict[str, str], status: int) -> None:
    answer = await service.client.get(f"/__emulator/look/{path}", params=query)
    assert (answer.status_code, bool(answer.json()["message"])) == (status, True)


async def test_a_look_writes_nothing(service: RunningEmulator) -> None:
    async with await connect(service) as connection:
        await connection.execute("create table touched (n int)")
        await connection.execute(
            "create function touch() returns int language sql as 'insert into touched values (1) returning n'"
        )
        await connection.execute("create view touching as select touch() as n")
        answer = await service.client.get("/__emulator/look/postgres", params={"of": "public.touching"})
        assert "read-only transaction" in answer.json()["message"]
        assert (await (await connection.execute("select count(*) from touched")).fetchone()) == (0,)


async def test_objects_and_their_download(service: RunningEmulator) -> None:
    names = service.emulator.variables
    store = S3Store(
        names["S3_BUCKET"],
        endpoint=names["S3_ENDPOINT_URL"],
        access_key_id=names["S3_ACCESS_KEY"],
        secret_access_key=names["S3_SECRET_KEY"],
        region=names["S3_REGION"],
        client_options={"allow_http": True},
        virtual_hosted_style_request=False,
    )
    await obstore.put_async(store, "pages/a.html", b"<script>alert(1)</script>")
    found = await look(service, "object_storage")
    assert (found["columns"], found["downloads"]) == (["Key", "Size", "Written"], ["pages/a.html"])
    assert found["rows"][0][:2] == ["pages/a.html", "25 bytes"]
    answer = await service.client.get("/__emulator/object", params={"key": "pages/a.html"})
    assert answer.content == b"<script>alert(1)</script>"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"].startswith("attachment")
    for key in ("../../conf", "/etc/passwd", "pages", "", "nothing"):
        assert (await service.client.get("/__emulator/object", params={"key": key})).status_code == 404


async def test_keys_of_redis(service: RunningEmulator) -> None:
    import redis.asyncio

    url = service.emulator.variables["REDIS_URL"]
    async with redis.asyncio.from_url(url, ssl_cert_reqs="none") as client:
        await client.set("text", "x" * 1000)
        await client.execute_command("SETEX", "short", 100, "v")
        await client.execute_command("RPUSH", "list", *range(100))
        await client.execute_command("HSET", "hash", "field", "value")
        await client.execute_command("ZADD", "scores", 1.5, "member")
        await client.execute_command("SADD", "set", "only")
    found = await look(service, "redis")
    rows = {row[0]: row[1:] for row in found["rows"]}
    assert rows["text"] == ["string", "ever"]
    assert rows["short"][1] in ("99 s", "100 s")
    assert [rows[name][0] for name in ("hash", "scores", "set")] == ["hash", "zset", "set"]
    assert (await look(service, "redis", of="text"))["rows"] == [["x" * 300 + "…"]]
    assert len((await look(service, "redis", of="list"))["rows"]) == 50
    assert (await look(service, "redis", of="hash"))["rows"] == [["field", "value"]]
    assert (await look(service, "redis", of="scores"))["rows"] == [["member", "1.5"]]
    assert (await look(service, "redis", of="set"))["rows"] == [["only"]]


async def test_async_requests(service: RunningEmulator) -> None:
    async with httpx.AsyncClient(base_url=service.emulator.state()["urls"]["async"]) as client:
        await client.post("/echo", content=b"hello")
        await client.post("/not-there")
    queue: Any = service.emulator.services["async_queue"]
    await queue.drained()
    second, first = (await look(service, "async_queue"))["rows"]
    assert first[2:] == ["POST /echo", "5", "delivered", "1", "200"]
    assert second[2:] == ["POST /not-there", "0", "delivered", "1", "404"]


async def test_rules_change_while_it_runs(service: RunningEmulator) -> None:
    name = service.emulator.fleet.running()[0].name
    await until(lambda: service.instance(name)["state"] == "frozen")
    answer = await act(service, "change-rule", "freeze=off")
    assert answer.json()["message"].endswith("stopped, with all its processes: off.")
    assert service.instance(name)["state"] == "running"
    await act(service, "change-rule", "freeze=on")
    await until(lambda: service.instance(name)["state"] == "frozen")
    await act(service, "change-rule", "max-response-body=1KiB")
    with pytest.raises(httpx.RemoteProtocolError):
        await service.client.get("/big", params={"size": 3000, "stream": False})
    await act(service, "change-rule", "max_response_body=5MiB")
    assert (await service.client.get("/big", params={"size": 3000})).status_code == 200
    await act(service, "change-rule", "request_timeout=0.2")
    assert (await service.client.get("/slow", params={"seconds": 5})).status_code == 504
    await act(service, "change-rule", "request_timeout=900")
    state = (await service.client.get("/__emulator/state")).json()
    assert {rule["name"] for rule in state["rules"] if not rule["live"]} >= {"memory_cap", "read_only", "pooler"}


@pytest.mark.parametrize(
    "order",
    ["memory_cap=off", "freeze", "freeze=perhaps", "request_timeout=-1", "request_timeout=nan", "max_header=much", ""],
)
async def test_changes_that_are_refused(service: RunningEmulator, order: str) -> None:
    before = service.emulator.state()["rules"]
    answer = await act(service, "change-rule", order)
    assert (answer.status_code, bool(answer.json()["hint"] or answer.json()["message"])) == (400, True)
    assert [rule["value"] for rule in service.emulator.state()["rules"]] == [rule["value"] for rule in before]


async def test_latency_to_the_region(service: RunningEmulator) -> None:
    assert (await act(service, "latency", "50")).json()["message"] == "A request takes 50 ms to the region and back."
    await service.client.get("/")
    assert service.emulator.journal.requests[-1].seconds > 0.05
    await act(service, "latency", "0")
    for text in ("-1", "x", "1e9"):
        assert (await act(service, "latency", text)).status_code == 400


async def test_a_database_that_is_slow_fails_and_disconnects(service: RunningEmulator) -> None:
    async with contextlib.AsyncExitStack() as stack:
        first = await stack.enter_async_context(await connect(service))
        await act(service, "db-latency", "50")
        begun = asyncio.get_running_loop().time()
        await first.execute("select 1")
        assert asyncio.get_running_loop().time() - begun > 0.05
        await act(service, "db-latency", "0")
        assert (await act(service, "disconnect-database")).json()["message"] == "1 database connections were dropped."
        with pytest.raises(psycopg.OperationalError):
            await first.execute("select 1")
    await act(service, "fail-database", "60")
    assert service.emulator.state()["services"]["postgres"]["failing"] is True
    with pytest.raises(psycopg.OperationalError):
        await connect(service)
    await act(service, "fail-database", "0")
    async with await connect(service) as again:
        await again.execute("select 1")


async def test_everyone_dormant(service: RunningEmulator) -> None:
    before = service.emulator.fleet.cold_starts
    assert (await act(service, "sleep-all")).json()["message"].startswith("1 instances are dormant")
    assert service.emulator.fleet.running() == []
    assert (await service.client.get("/")).status_code == 200
    assert service.emulator.fleet.cold_starts == before + 1
