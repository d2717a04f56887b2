"""The emulator's PostgreSQL: what a transaction pooler does to an application, as pgbouncer, its model, does it."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text

from fastopp.database.engine import create_engine
from fastopp.database.session import Database
from fastopp.settings.database_url import DatabaseURL
from leapcell_emulator.services.postgres import Postgres, PostgresOptions
from leapcell_emulator.services.postgres_server_pool import MIN_CONNECTIONS
from tests.gate import only_full
from tests.services.pgbouncer import PgBouncerModel, find_pgbouncer

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMESPACE = ("unshare", "--user", "--map-root-user")
START = """
import asyncio
from leapcell_emulator.services.postgres import Postgres

async def main():
    async with Postgres() as database:
        print("up", database.url.partition(":")[0])

asyncio.run(main())
"""
MANY = MIN_CONNECTIONS * 2
"""Transactions after which a client has met some server connection twice."""


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[Postgres, *only_full(PgBouncerModel)])
async def pooled(request: pytest.FixtureRequest) -> AsyncIterator[Postgres]:
    """The service, and its model, sharing by transaction."""
    async with _start(request.param, pool_size=5, max_connections=40) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=[Postgres, *only_full(PgBouncerModel)])
async def unshared(request: pytest.FixtureRequest) -> AsyncIterator[Postgres]:
    """The service, and its model, with a server connection for each client."""
    async with _start(request.param, pooler="session") as running:
        yield running


def _start(kind: type[Postgres], **options: Any) -> Postgres:
    if kind is PgBouncerModel and not find_pgbouncer():
        pytest.skip("pgbouncer is not installed (apt install pgbouncer)")
    return kind(PostgresOptions(**options))


def needs_notices(service: Postgres) -> None:
    if isinstance(service, PgBouncerModel):
        pytest.skip("pgbouncer reports nothing")


async def connect(service: Postgres, **options: Any) -> psycopg.AsyncConnection[Any]:
    """As psycopg connects, without prepared statements, in autocommit."""
    return await psycopg.AsyncConnection.connect(
        service.url, **{"autocommit": True, "prepare_threshold": None, **options}
    )


async def one(connection: psycopg.AsyncConnection[Any], sql: str) -> Any:
    """The only value of the only row."""
    row = await (await connection.execute(sql)).fetchone()
    return row[0] if row else None


async def in_turn(work: Callable[[int], Awaitable[Any]]) -> None:
    """Do something until each server connection was met."""
    for number in range(MANY):
        await work(number)


async def test_the_url_is_as_the_dashboard_shows_it(pooled: Postgres) -> None:
    assert pooled.environment() == {"DATABASE_URL": pooled.url}
    assert re.fullmatch(r"postgresql://[a-z]{20}:\w{32}@localhost:\d+/[a-z]{20}\?sslmode=require", pooled.url)
    assert pooled.status()["state"] == "running"
    assert pooled.password not in str(pooled.status())


async def test_who_is_not_let_in(pooled: Postgres) -> None:
    for wrong, said in (
        (pooled.url.replace("sslmode=require", "sslmode=disable"), "SSL required"),
        (pooled.url.replace(pooled.password, "wrong"), "(password|SASL) authentication failed"),
        (pooled.url.replace(f"/{pooled.database}", "/nowhere"), "nowhere"),
        (pooled.url.replace(pooled.user, "nobody"), "nobody|(password|SASL) authentication failed"),
    ):
        with pytest.raises(psycopg.OperationalError, match=said):
            await (await psycopg.AsyncConnection.connect(wrong)).close()


async def test_the_certificate_stands_verification(pooled: Postgres) -> None:
    url = pooled.url.replace("sslmode=require", f"sslmode=verify-full&sslrootcert={pooled.root_certificate}")
    async with await psycopg.AsyncConnection.connect(url, prepare_threshold=None) as connection:
        assert connection.pgconn.ssl_in_use
        assert await one(connection, "select current_user::text") == pooled.user


async def test_transactions_take_turns_on_the_server(pooled: Postgres) -> None:
    async with await connect(pooled) as connection:
        met = {await one(connection, "select pg_backend_pid()") for _ in range(MANY)}
        assert len(met) >= MIN_CONNECTIONS
        async with connection.transaction():
            within = {await one(connection, "select pg_backend_pid()") for _ in range(MANY)}
        assert len(within) == 1


async def test_named_prepared_statements_of_psycopg_vanish_and_collide(pooled: Postgres) -> None:
    async with await connect(pooled, prepare_threshold=0) as connection:
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            await connection.execute("select 'psycopg'")

    async def prepare_in_a_transaction(number: int) -> None:
        async with await connect(pooled, prepare_threshold=0, autocommit=False) as connection:
            await connection.execute(f"select 'psycopg, {number}'".encode())

    with pytest.raises(psycopg.errors.DuplicatePreparedStatement):
        await in_turn(prepare_in_a_transaction)
    async with await connect(pooled) as connection:
        for _ in range(MANY):
            await connection.execute("select 1")


async def test_named_prepared_statements_of_asyncpg_vanish(pooled: Postgres) -> None:
    connection = await asyncpg.connect(pooled.url)
    with pytest.raises((asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)):
        await in_turn(lambda _: connection.fetchval("select 'asyncpg'"))
    await connection.close()
    connection = await asyncpg.connect(pooled.url, statement_cache_size=0)
    for _ in range(MANY):
        async with connection.transaction():
            assert await connection.fetchval("select $1::text", "in a transaction") == "in a transaction"
    await connection.close()


async def test_settings_do_not_stick_unless_they_are_the_poolers(pooled: Postgres) -> None:
    async with await connect(pooled) as connection:
        await connection.execute("set statement_timeout to '54321ms'")
        kept = [await one(connection, "show statement_timeout") for _ in range(MANY)]
        assert "0" in kept
        await connection.execute("set timezone to 'Asia/Tokyo'")
        assert {await one(connection, "show timezone") for _ in range(MANY)} == {"Asia/Tokyo"}
        async with await connect(pooled) as other:
            assert "Asia/Tokyo" not in {await one(other, "show timezone") for _ in range(MANY)}
        async with connection.transaction():
            await connection.execute("set local statement_timeout to '77ms'")
            assert await one(connection, "show statement_timeout") == "77ms"


async def test_what_a_client_says_of_itself_at_the_start_follows_it(pooled: Postgres) -> None:
    async with await connect(pooled, application_name="it's me") as connection:
        assert {await one(connection, "show application_name") for _ in range(MANY)} == {"it's me"}
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        await (await connect(pooled, options="-c statement_timeout=5")).close()


async def test_listen_is_accepted_and_silent(pooled: Postgres) -> None:
    async with await connect(pooled) as listener, await connect(pooled) as speaker:
        await listener.execute("listen jobs")
        for _ in range(MANY):
            await speaker.execute("notify jobs, 'work'")
        assert [notice async for notice in listener.notifies(timeout=0.2)] == []


async def test_a_sessions_advisory_lock_does_not_stick(pooled: Postgres) -> None:
    async with await connect(pooled) as connection:
        assert await one(connection, "select pg_try_advisory_lock(4711)")
        # The next transactions are on other server connections, which find the lock taken, by this very client.
        assert not await one(connection, "select pg_try_advisory_lock(4711)")
        async with connection.transaction():
            assert await one(connection, "select pg_try_advisory_xact_lock(4712)")
        assert await one(connection, "select pg_try_advisory_lock(4712)")


async def test_a_temporary_table_is_gone(pooled: Postgres) -> None:
    async with await connect(pooled) as connection:
        await connection.execute("create temp table scratch (a int)")
        with pytest.raises(psycopg.errors.UndefinedTable):
            await connection.execute("select * from scratch")


async def test_several_commands_in_one_prepared_statement(pooled: Postgres) -> None:
    connection = await asyncpg.connect(pooled.url, statement_cache_size=0)
    with pytest.raises(asyncpg.PostgresSyntaxError, match="cannot insert multiple commands"):
        await connection.fetch("select $1::int; select 2", 1)
    await connection.close()


async def test_what_was_noticed_is_told_once(pooled: Postgres) -> None:
    needs_notices(pooled)
    async with await connect(pooled) as connection:
        for _ in range(2):
            for sql in ("listen news", "set statement_timeout to '54321ms'", "select pg_try_advisory_lock(4713)"):
                await connection.execute(sql.encode())
            await connection.execute("create temp table noticed (a int) on commit drop")
    async with await connect(pooled, prepare_threshold=0) as connection:
        with suppress(psycopg.Error):
            await connection.execute("select 'noticed'")
    told = pooled.status()["notices"]
    assert len(told) == len(set(told))
    for word in ("prepared statement", "LISTEN", "SET LOCAL", "pg_advisory_xact_lock", "temporary table"):
        assert any(word in sentence for sentence in told), word


async def test_more_clients_than_server_connections(pooled: Postgres) -> None:
    async def work() -> None:
        async with await connect(pooled) as connection:
            for _ in range(5):
                async with connection.transaction():
                    await connection.execute("select pg_sleep(0.001)")

    await asyncio.gather(*(work() for _ in range(30)))


async def test_clients_beyond_the_cap_are_turned_away(pooled: Postgres) -> None:
    needs_notices(pooled)
    before = pooled.status()["refused"]
    async with AsyncExitStack() as stack:
        for _ in range(40):
            await stack.enter_async_context(await connect(pooled))
        assert pooled.status()["connections"] == 40
        with pytest.raises(psycopg.OperationalError, match="no more connections allowed"):
            await connect(pooled)
    assert pooled.status()["refused"] == before + 1
    assert "More than 40 database connections: one was refused" in pooled.status()["notices"]


async def test_copying_both_ways_with_both_drivers(pooled: Postgres) -> None:
    async with await connect(pooled) as connection:
        await connection.execute("create table copied (a int, b text)")
        async with connection.cursor() as cursor:
            async with cursor.copy("copy copied from stdin") as copy:
                for number in range(1000):
                    await copy.write_row((number, "psycopg" * 50))
            async with cursor.copy("copy copied to stdout") as copy:
                assert len([row async for row in copy.rows()]) == 1000
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            async with connection.cursor() as cursor, cursor.copy("copy copied from stdin") as copy:
                await copy.write("not a number\ttext\n")
        assert await one(connection, "select count(*) from copied") == 1000
        raw = await asyncpg.connect(pooled.url, statement_cache_size=0)
        async with raw.transaction():
            await raw.copy_records_to_table("copied", records=[(number, "asyncpg") for number in range(1000)])
        await raw.close()
        assert await one(connection, "select count(*) from copied") == 2000
        await connection.execute("drop table copied")


async def test_a_pipeline_within_a_transaction(pooled: Postgres) -> None:
    async with await connect(pooled) as connection:
        async with connection.transaction(), connection.pipeline():
            cursors = [await connection.execute("select %s::int, pg_backend_pid()", [number]) for number in range(50)]
            rows = [await cursor.fetchone() for cursor in cursors]
        assert [row[0] for row in rows if row] == list(range(50))
        assert len({row[1] for row in rows if row}) == 1
        assert await one(connection, "select 1") == 1


async def test_a_big_result_and_a_big_parameter(pooled: Postgres) -> None:
    async with await connect(pooled) as connection:
        cursor = await connection.execute("select %b::bytea", [bytes(20_000_000)])
        assert len((await cursor.fetchone() or [b""])[0]) == 20_000_000
        cursor = await connection.execute("select repeat('x', 100) from generate_series(1, 50000)")
        assert len(await cursor.fetchall()) == 50_000


async def test_a_query_is_cancelled(pooled: Postgres) -> None:
    async with await connect(pooled) as connection:
        query = asyncio.create_task(connection.execute("select pg_sleep(60)"))
        async with await connect(pooled) as watcher:
            running = "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'"
            while not await one(watcher, running):  # noqa: ASYNC110 - a query sets no event
                await asyncio.sleep(0.01)
        await connection.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            await query
        assert await one(connection, "select 1") == 1
    raw = await asyncpg.connect(pooled.url, statement_cache_size=0)
    with pytest.raises(TimeoutError):
        await raw.execute("select pg_sleep(60)", timeout=0.1)
    assert await raw.fetchval("select 1") == 1
    await raw.close()


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(pooled: Postgres) -> None:
    async with await connect(pooled) as other:
        await other.execute("create table left_behind (a int)")
        for _ in range(MANY):  # more than there are server connections
            connection = await connect(pooled, autocommit=False)
            await connection.execute("insert into left_behind values (1)")
            connection.pgconn.finish()
        assert [await one(other, "select count(*) from left_behind") for _ in range(MANY)] == [0] * MANY
        await other.execute("drop table left_behind")


async def test_a_server_connection_that_dies_is_replaced(pooled: Postgres) -> None:
    async with await connect(pooled) as connection, await pooled._server.connect() as superuser:
        await connection.execute("begin")
        pid = await one(connection, "select pg_backend_pid()")
        await superuser.execute("select pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(psycopg.OperationalError):
            await connection.execute("select 1")
        everyone = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = %s"
        await superuser.execute(everyone, [pooled.user])
        async with await connect(pooled) as next_one:
            for _ in range(MANY):
                assert await one(next_one, "select 1") == 1


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HTTP/1.1\r\n\r\n", bytes(8), b"\xff" * 100, bytes.fromhex("0000000804d2162f") * 3]
)
async def test_what_is_not_postgresqls_does_no_harm(sent: bytes, pooled: Postgres) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", pooled.status()["port"])
    writer.write(sent)
    writer.write_eof()
    await reader.read()
    writer.close()
    async with await connect(pooled) as connection:
        assert await one(connection, "select 1") == 1


async def test_whatever_clients_do_nothing_of_it_stays(pooled: Postgres) -> None:
    async def behave(number: int) -> None:
        chance = random.Random(number)
        for _ in range(6):
            connection = await connect(pooled, autocommit=chance.random() < 0.5)
            try:
                match chance.randrange(5):
                    case 0:
                        await connection.execute("select 1 / 0")
                    case 1:
                        async with connection.pipeline():
                            for part in range(20):
                                await connection.execute("select %s::int", [part])
                    case 2:
                        async with asyncio.timeout(0.01):
                            await connection.execute("select pg_sleep(0.05)")
                    case 3:
                        async with connection.cursor() as cursor, cursor.copy("copy (select 1) to stdout") as copy:
                            assert [row async for row in copy.rows()] == [("1",)]
                    case _:
                        async with connection.transaction():
                            assert await one(connection, f"select {number}") == number
            except (psycopg.errors.DivisionByZero, TimeoutError):
                pass
            finally:
                if chance.random() < 0.5:
                    connection.pgconn.finish()  # without a goodbye
                await connection.close()

    await asyncio.gather(*(behave(number) for number in range(20)))
    async with await connect(pooled) as connection, await pooled._server.connect() as superuser:
        assert [await one(connection, f"select {number}") for number in range(MANY)] == list(range(MANY))
        everyone = "select count(*), count(*) filter (where state <> 'idle') from pg_stat_activity where usename = %s"
        count, busy = await (await superuser.execute(everyone, [pooled.user])).fetchone() or (0, 0)
        assert count <= 5
        assert busy == 0


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_our_own_engine_works_behind_it(driver: str, pooled: Postgres) -> None:
    parsed = DatabaseURL.parse(pooled.url.replace("postgresql://", f"postgresql+{driver}://"))
    database = Database(parsed, create_engine(parsed, pool_size=2, max_overflow=3, timeout=10))
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.execute(text("create table counted (n int)"))
        await connection.execute(text("insert into counted values (0)"))

    async def work() -> None:
        for number in range(10):
            async with database.transaction() as session:
                await (await session.connection()).execute(text("update counted set n = n + 1"))
            async with database.read() as session:
                asked = await (await session.connection()).execute(text("select cast(:n as integer)"), {"n": number})
                assert asked.scalar() == number

    await asyncio.gather(*(work() for _ in range(8)))
    async with database.transaction() as session:
        connection = await session.connection()
        assert (await connection.execute(text("select n from counted"))).scalar() == 80
        await connection.execute(text("drop table counted"))
    await database.dispose()


async def test_the_size_grows_with_what_is_stored(pooled: Postgres) -> None:
    before = pooled.status()["size"]
    async with await connect(pooled) as connection, await pooled._server.connect() as superuser:
        await connection.execute(
            "create table filler as select repeat(md5(n::text), 10) as f from generate_series(1, 9000) n"
        )
        counted = await (await superuser.execute("select pg_database_size(%s)", [pooled.database])).fetchone()
        assert counted
        assert before + 2_000_000 < pooled.status()["size"] == pytest.approx(counted[0], rel=0.05)
        await connection.execute("drop table filler")


async def test_in_session_mode_everything_sticks(unshared: Postgres) -> None:
    async with await connect(unshared, prepare_threshold=0) as connection:
        assert len({await one(connection, "select pg_backend_pid()") for _ in range(MANY)}) == 1
        for _ in range(MANY):
            await connection.execute("select 'mine'")
        await connection.execute("set statement_timeout to '54321ms'")
        assert await one(connection, "show statement_timeout") == "54321ms"
        assert await one(connection, "select pg_try_advisory_lock(4711)")
        assert await one(connection, "select pg_try_advisory_lock(4711)")
        await connection.execute("listen jobs")
        async with await connect(unshared) as speaker:
            await speaker.execute("notify jobs, 'work'")
        assert [notice.payload async for notice in connection.notifies(timeout=5, stop_after=1)] == ["work"]
    assert unshared.status()["notices"] == []


async def test_a_saved_database_is_loaded_under_other_names(pooled: Postgres, tmp_path: Path) -> None:
    async with await connect(pooled) as connection:
        await connection.execute("create table kept (id serial primary key, name text unique)")
        await connection.execute("insert into kept (name) values ('Ada'), ('Grace')")
        await pooled.save(tmp_path / "saved")
        await connection.execute("drop table kept")
    async with Postgres(PostgresOptions()) as other:
        assert not await other.load(tmp_path / "never saved")
        assert await other.load(tmp_path / "saved")
        assert other.user != pooled.user
        async with await connect(other) as connection:
            await connection.execute("insert into kept (name) values ('Edsger')")
            await connection.execute("alter table kept add column mine boolean")
            assert await one(connection, "select count(*) from kept") == 3


async def test_a_database_that_is_far_away_and_takes_no_tls() -> None:
    async with Postgres(PostgresOptions(tls=False, latency=0.05)) as far:
        async with await psycopg.AsyncConnection.connect(
            far.url.replace("sslmode=require", "sslmode=disable"), autocommit=True
        ) as connection:
            begun = asyncio.get_running_loop().time()
            assert await one(connection, "select 1") == 1
            assert asyncio.get_running_loop().time() - begun >= 0.05
        assert far.status()["notices"] == []


@pytest.mark.parametrize("nested", [True, False])
async def test_in_a_user_namespace_with_one_id(nested: bool) -> None:
    """As in many containers. Where there is no other user and none can be made, the message says so."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:  # noqa: ASYNC221 - a moment
        pytest.skip("no user namespaces can be made here")
    forbid = "" if nested else "echo 0 > /proc/sys/user/max_user_namespaces && "
    process = await asyncio.create_subprocess_exec(
        *NAMESPACE,
        "sh",
        "-c",
        f'{forbid}exec "$0" -c "$1"',
        sys.executable,
        START,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    if nested:
        assert (process.returncode, out) == (0, b"up postgresql\n"), error.decode()
    else:
        assert "This user namespace has no other user" in error.decode()
        assert "Errno" not in error.decode()
