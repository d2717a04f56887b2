"""The emulator's Redis, with redis-py as applications use it: what LeapCell lists works, the rest is refused."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 - redis-py's own
    ExecAbortError,
    ResponseError,
)

from leapcell_emulator.services.process import ServiceFailed
from leapcell_emulator.services.redis import Redis, RedisOptions
from leapcell_emulator.services.redis_commands import COMMANDS
from leapcell_emulator.services.redis_server import MAX_VALUE

Client = Any  # redis-py's methods are typed for its blocking client, too


@contextlib.asynccontextmanager
async def connected(service: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A client that has no more than what the service gives an application."""
    environment = service.environment()
    monkeypatch.setenv("SSL_CERT_FILE", environment["SSL_CERT_FILE"])
    # Five seconds, its default, are too few for TLS on a machine that others keep busy.
    options = {"decode_responses": True, "socket_connect_timeout": 30}
    async with redis.asyncio.from_url(environment["REDIS_URL"], **options) as client:
        yield client


@pytest.fixture
async def told() -> list[tuple[str, str]]:
    return []


@pytest.fixture
async def service(told: list[tuple[str, str]]) -> AsyncIterator[Redis]:
    async with Redis(notice=lambda rule, found: told.append((rule, found))) as running:
        yield running


@pytest.fixture
async def client(service: Redis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    async with connected(service, monkeypatch) as connection:
        yield connection


async def test_all_that_is_listed_works(client: Client, told: list[tuple[str, str]]) -> None:
    assert await client.set("word", "a", ex=100)
    assert await client.append("word", "b") == 2
    assert await client.incrby("count", 5) == 5
    assert 0 < await client.ttl("word") <= 100
    assert await client.hset("hash", mapping={"a": 1, "b": 2}) == 2
    assert await client.hgetall("hash") == {"a": "1", "b": "2"}
    assert await client.rpush("list", "a", "b", "c") == 3
    assert await client.lrange("list", 0, -1) == ["a", "b", "c"]
    assert await client.sadd("set", "a", "b") == 2
    assert await client.smembers("set") == {"a", "b"}
    assert await client.zadd("sorted", {"late": 2, "early": 1}) == 2
    assert await client.zrange("sorted", 0, -1) == ["early", "late"]
    assert await client.setbit("bits", 7, 1) == 0
    assert await client.bitcount("bits") == 1
    assert sorted(await client.keys("*s*t")) == ["list", "set"]
    assert await client.delete("word", "nothing") == 1
    assert await client.exists("word") == 0
    assert await client.type("set") == "set"
    assert told == []


async def test_transactions(client: Client) -> None:
    async with client.pipeline(transaction=True) as pipeline:
        await pipeline.watch("count")
        pipeline.multi()
        pipeline.incr("count").incr("count")
        assert await pipeline.execute() == [1, 2]
    async with client.pipeline(transaction=True) as pipeline:
        await pipeline.watch("count")
        await client.set("count", 10)
        pipeline.multi()
        pipeline.incr("count")
        with pytest.raises(redis.exceptions.WatchError):
            await pipeline.execute()


async def test_publish_and_subscribe(client: Client) -> None:
    async with client.pubsub() as subscription:
        await subscription.subscribe("news")
        assert (await subscription.get_message(timeout=10))["type"] == "subscribe"
        assert await client.publish("news", "hello") == 1
        assert (await subscription.get_message(timeout=10))["data"] == "hello"


REFUSED: list[tuple[str, Callable[[Client], Any]]] = [
    ("EVAL", lambda client: client.eval("return 1", 0)),
    ("BLPOP", lambda client: client.blpop("list", 1)),
    ("XADD", lambda client: client.xadd("stream", {"a": 1})),
    ("SCAN", lambda client: client.scan()),
    ("MGET", lambda client: client.mget("a", "b")),
    ("PFADD", lambda client: client.pfadd("a", "b")),
    ("FLUSHALL", lambda client: client.flushall()),
    ("CONFIG", lambda client: client.config_get("*")),
]


@pytest.mark.parametrize(("name", "call"), REFUSED, ids=[name for name, _ in REFUSED])
async def test_what_is_not_listed_is_refused_and_told_once(
    service: Redis, client: Client, told: list[tuple[str, str]], name: str, call: Callable[[Client], Any]
) -> None:
    for _ in range(2):
        with pytest.raises(ResponseError, match=f"unknown command '{name}'"):
            await call(client)
    assert told == [("redis_commands", f"{name} was refused: LeapCell does not list it for its Redis.")]
    assert service.status()["refused"] == 2
    assert service.status()["notices"] == [told[0][1]]
    assert await client.ping()


async def test_a_refused_command_keeps_its_place_among_others(client: Client) -> None:
    pipeline = client.pipeline(transaction=False)
    pipeline.set("a", "1").eval("return 1", 0).get("a")
    first, second, third = await pipeline.execute(raise_on_error=False)
    assert (first, third) == (True, "1")
    assert "unknown command 'EVAL', with args beginning with: 'return 1' '0'" in str(second)
    pipeline = client.pipeline(transaction=True)
    pipeline.set("a", "2").eval("return 1", 0)
    with pytest.raises((ResponseError, ExecAbortError)):
        await pipeline.execute()
    assert await client.get("a") == "1"


async def test_commands_that_only_others_would_have_are_told_of_and_made_up_ones_not_for_ever(
    client: Client, told: list[tuple[str, str]]
) -> None:
    for name in ("JSON.SET", "what is this", *(f"NAME{number}" for number in range(200))):
        with pytest.raises(ResponseError, match="unknown command"):
            await client.execute_command(f'"{name}"' if " " in name else name)
    assert told[0][1].startswith("JSON.SET was refused")
    assert len(told) == 100


async def test_redis_has_every_command_of_the_list(service: Redis, client: Client) -> None:
    known = await client.command_list()
    assert COMMANDS - set(known) == {"rpopcount"}


async def test_all_commands_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Redis(RedisOptions(commands="all")) as service, connected(service, monkeypatch) as client:
        assert await client.eval("return 7", 0) == 7
        assert service.status()["refused"] == 0


async def test_who_is_not_let_in(service: Redis, told: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", service.environment()["SSL_CERT_FILE"])
    async with redis.asyncio.from_url(service.url.replace(service.password, "wrong")) as stranger:
        with pytest.raises(AuthenticationError):
            await stranger.ping()
    assert told == []
    async with redis.asyncio.from_url(service.url.replace("rediss://", "redis://")) as naked:
        with pytest.raises(ConnectionError):
            await naked.ping()
    assert told == [("redis_commands", "A connection without TLS was refused: the URL starts with rediss://.")]
    monkeypatch.delenv("SSL_CERT_FILE")
    async with redis.asyncio.from_url(service.url) as distrustful:
        with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            await distrustful.ping()
    assert len(told) == 1


def test_public_sites_are_trusted_too(service: Redis) -> None:
    context = ssl.create_default_context(cafile=service.environment()["SSL_CERT_FILE"])
    assert context.cert_store_stats()["x509_ca"] > 50


def test_the_password_is_not_shown(service: Redis) -> None:
    assert service.url == f"rediss://default:{service.password}@127.0.0.1:{service.status()['port']}"
    assert service.password not in str(service.status())
    shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not any(service.password.encode() in line for line in shown)


async def raw(service: Redis) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has signed in, and can say anything."""
    context = ssl.create_default_context(cafile=service.environment()["SSL_CERT_FILE"])
    port = service.status()["port"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    writer.write(f"AUTH default {service.password}\r\n".encode())
    assert await reader.readline() == b"+OK\r\n"
    return reader, writer


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"*nonsense\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
        (b"*1\r\nPING\r\n", b"-ERR Protocol error: expected '$', got 'P'\r\n"),
        (b"x" * 100_000, b"-ERR Protocol error: too big inline request\r\n"),
        (b"*2\r\n$3\r\nGET\r\n$%d\r\n" % (MAX_VALUE + 1), b"-ERR Protocol error: invalid bulk length\r\n"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b""),
    ],
)
async def test_what_is_not_redis_has_one_end(service: Redis, client: Client, sent: bytes, answer: bytes) -> None:
    reader, writer = await raw(service)
    writer.write(sent)
    assert await reader.read() == answer
    writer.close()
    assert await client.ping()


async def test_lines_of_text_and_halves_of_packets(service: Redis) -> None:
    reader, writer = await raw(service)
    for half in (b"SET a ", b"1\r\n*2\r\n$3\r", b"\nG", b"ET\r\n$1\r\na", b"\r\nEVAL x 0\r\nPI", b"NG\r\n"):
        writer.write(half)
        await writer.drain()
    assert await reader.readexactly(12) == b"+OK\r\n$1\r\n1\r\n"
    assert b"unknown command 'EVAL'" in await reader.readline()
    assert await reader.readline() == b"+PONG\r\n"
    writer.close()


async def test_a_client_that_goes_away_in_the_middle(service: Redis, client: Client) -> None:
    for _ in range(5):
        _, writer = await raw(service)
        writer.write(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000000\r\nbegun")
        await writer.drain()
        writer.transport.abort()
    async with asyncio.timeout(20):
        while service.status()["connections"] > 1:  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)
    assert await client.exists("a") == 0


async def test_large_values(client: Client) -> None:
    value = "x" * 5_000_000
    await client.set("large", value)
    assert await client.get("large") == value


async def test_what_it_holds_is_kept(
    service: Redis, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.set("word", "kept", ex=1000)
    await client.zadd("sorted", {"a": 1})
    await service.save(tmp_path / "redis")
    await client.set("word", "later")
    async with Redis() as other:
        assert not await other.load(tmp_path / "nothing")
        assert await other.load(tmp_path / "redis")
        async with connected(other, monkeypatch) as reader:
            assert await reader.get("word") == "kept"
            assert 0 < await reader.ttl("word") <= 1000
            assert await reader.zrange("sorted", 0, -1) == ["a"]


async def test_what_was_kept_and_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "dump.rdb").write_bytes(b"no dump at all")
    with pytest.raises(ServiceFailed, match="Valkey ended at once"):
        async with Redis() as service:
            await service.load(tmp_path)


async def test_a_server_that_has_ended(service: Redis, client: Client, tmp_path: Path) -> None:
    await service._server.stop()
    assert service.status()["state"] == "ended"
    with pytest.raises(ConnectionError):
        await client.ping()
    with pytest.raises(ServiceFailed, match="Redis cannot be saved"):
        await service.save(tmp_path)
