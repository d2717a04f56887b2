from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.database import pool
from fastopp.database.engine import create_engine
from fastopp.database.errors import DatabaseUnavailable
from fastopp.database.session import Database
from fastopp.settings.database_url import DatabaseURL
from fastopp.settings.libpq import DatabaseURLError
from fastopp.testing import ManualClock
from tests.gate import only_full
from tests.services.front import BlackHole, Certificates, Front, Network
from tests.services.pooler import Pooler
from tests.services.postgres import ENCODED_PASSWORD, PASSWORD, USER, Postgres
from tests.services.tasks import until

Open = Callable[..., Database]

DRIVERS = pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
SUM = text("select cast(:a as int) + cast(:b as int)")


@pytest.fixture(scope="module")
def postgres_database(postgres: Postgres) -> Iterator[str]:
    """One database for all tests here: they read, or use a table of their own."""
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


async def value(session: AsyncSession, query: str, **parameters: Any) -> Any:
    return (await (await session.connection()).execute(text(query), parameters)).scalar()


async def ask(database: Database, query: str = "select 1", **parameters: Any) -> Any:
    async with database.read() as session:
        return await value(session, query, **parameters)


# Every form of URL


@pytest.mark.parametrize(
    "scheme",
    ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2",
     "postgresql+psycopg_async"],
)  # fmt: skip
async def test_every_scheme_connects(scheme: str, postgres_url: str, open_database: Open) -> None:
    database = open_database(postgres_url.replace("postgresql", scheme, 1))

    assert await ask(database, "select current_user") == USER


@DRIVERS
async def test_a_raw_password_connects(driver: str, postgres_url: str, open_database: Open) -> None:
    database = open_database(postgres_url.replace(ENCODED_PASSWORD, PASSWORD), driver=driver)

    assert await ask(database) == 1


@DRIVERS
@pytest.mark.parametrize("form", ["postgresql://{login}@/{db}?host={folder}", "postgresql://{login}@{encoded}/{db}"])
async def test_unix_sockets(
    driver: str, form: str, postgres: Postgres, postgres_database: str, open_database: Open
) -> None:
    folder = postgres.socket_folder
    login = f"{USER}:{ENCODED_PASSWORD}"
    url = form.format(login=login, db=postgres_database, folder=folder, encoded=folder.replace("/", "%2F"))

    # sslmode has no meaning there, so that even the strictest is no obstacle
    assert await ask(open_database(url, driver=driver)) == 1


@DRIVERS
async def test_ipv6(driver: str, postgres: Postgres, postgres_database: str, open_database: Open) -> None:
    front = Front(postgres.socket_path)
    front.host = "::1"
    try:
        front.__enter__()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@[::1]:{front.port}/{postgres_database}"
        assert await ask(open_database(url, driver=driver)) == 1
    finally:
        front.__exit__(None, None, None)


@DRIVERS
async def test_several_hosts_are_tried_in_turn(
    driver: str, plain_front: Front, postgres_database: str, open_database: Open
) -> None:
    hosts = f"127.0.0.1:1,127.0.0.1:{plain_front.port}"
    url = f"postgresql://{USER}:{ENCODED_PASSWORD}@{hosts}/{postgres_database}?target_session_attrs=read-write"

    assert await ask(open_database(url, driver=driver)) == 1


@DRIVERS
async def test_what_the_url_sets_on_the_server(driver: str, postgres_url: str, open_database: Open) -> None:
    query = "?options=-c%20statement_timeout%3D4321&application_name=shop%20front&connect_timeout=5&keepalives_idle=20"
    database = open_database(postgres_url + query, driver=driver)

    assert await ask(database, "select current_setting('statement_timeout')") == "4321ms"
    assert await ask(database, "select current_setting('application_name')") == "shop front"


# TLS: libpq's modes have libpq's meaning with both drivers


@DRIVERS
@pytest.mark.parametrize(
    ("query", "connects", "encrypted"),
    [
        ("", True, True),
        ("?sslmode=disable", False, False),
        ("?sslmode=prefer", True, True),
        ("?sslmode=require", True, True),
        ("?ssl=true", True, True),
        ("?sslmode=require&sslrootcert={root}", True, True),
        ("?sslmode=require&sslrootcert={stranger}", False, False),
        ("?sslmode=verify-ca&sslrootcert={root}", True, True),
        ("?sslmode=verify-ca&sslrootcert={stranger}", False, False),
        ("?sslmode=verify-full&sslrootcert={root}", True, True),
        ("?sslmode=verify-full&sslrootcert={stranger}", False, False),
        ("?sslrootcert=system", False, False),
        ("?sslmode=require&channel_binding=prefer", True, True),
    ],
)
async def test_a_server_that_insists_on_tls(
    driver: str, query: str, connects: bool, encrypted: bool, postgres: Postgres, postgres_database: str,
    certificates: Certificates, tls_front: Front, open_database: Open,
) -> None:  # fmt: skip
    query = query.format(root=certificates.root, stranger=certificates.stranger)
    url = f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{tls_front.port}/{postgres_database}{query}"
    before = tls_front.encrypted
    database = open_database(url, driver=driver)

    if connects:
        assert await ask(database) == 1
    else:
        with pytest.raises(DatabaseUnavailable):
            await ask(database)
    assert (tls_front.encrypted > before) == encrypted


@DRIVERS
@pytest.mark.parametrize(("mode", "connects"), [("verify-ca", True), ("verify-full", False)])
async def test_only_verify_full_minds_the_name_of_the_host(
    driver: str, mode: str, connects: bool, certificates: Certificates, tls_url: str, open_database: Open
) -> None:
    elsewhere = tls_url.replace("localhost", "127.0.0.1").replace("require", mode)  # the certificate says localhost
    database = open_database(f"{elsewhere}&sslrootcert={certificates.root}", driver=driver)

    if connects:
        assert await ask(database) == 1
    else:
        with pytest.raises(DatabaseUnavailable, match="certificate cannot be verified"):
            await ask(database)


@DRIVERS
@pytest.mark.parametrize(
    ("mode", "connects"), [("disable", True), ("allow", True), ("prefer", True), ("require", False)]
)
async def test_a_server_without_tls(
    driver: str, mode: str, connects: bool, postgres_url: str, open_database: Open
) -> None:
    database = open_database(f"{postgres_url}?sslmode={mode}", driver=driver)

    if connects:
        assert await ask(database) == 1
    else:
        with pytest.raises(DatabaseUnavailable, match="does not offer TLS"):
            await ask(database)


@DRIVERS
async def test_a_server_that_takes_tls_only(driver: str, tls_url: str, open_database: Open) -> None:
    with pytest.raises(DatabaseUnavailable, match="takes connections with TLS only"):
        await ask(open_database(tls_url.replace("require", "disable"), driver=driver))


@DRIVERS
async def test_allow_takes_tls_when_nothing_else_is_had(driver: str, tls_url: str, open_database: Open) -> None:
    assert await ask(open_database(tls_url.replace("require", "allow"), driver=driver)) == 1


@DRIVERS
async def test_the_certificates_of_the_system(
    driver: str, certificates: Certificates, tls_url: str, open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.root))  # as if our authority were among them

    assert await ask(open_database(tls_url.replace("sslmode=require", "sslrootcert=system"), driver=driver)) == 1


@DRIVERS
async def test_a_server_that_asks_for_a_certificate(
    driver: str, postgres: Postgres, postgres_database: str, certificates: Certificates, open_database: Open
) -> None:
    with Front(postgres.socket_path, certificates) as front:
        assert front.context
        front.context.verify_mode = ssl.CERT_REQUIRED
        front.context.load_verify_locations(certificates.root)
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{front.port}/{postgres_database}?sslmode=require"
        shown = f"{url}&sslcert={certificates.certificate}&sslkey={certificates.key}"

        assert await ask(open_database(shown, driver=driver)) == 1
        with pytest.raises(DatabaseUnavailable):
            await ask(open_database(url, driver=driver))


@DRIVERS
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("?sslmode=verify-full", r"no certificates to verify with.*sslrootcert=system"),
        ("?sslmode=verify-full&sslrootcert=/no/such.pem", "The file in sslrootcert does not exist"),
        ("?sslmode=require&sslcert=/no/such.pem", "The file in sslcert does not exist"),
    ],
)
def test_a_missing_certificate_is_a_mistake_in_the_url(
    driver: str, query: str, message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    url = DatabaseURL.parse(f"postgresql+{driver}://u:p@localhost/d{query}")

    with pytest.raises(DatabaseURLError, match=message):
        create_engine(url, pool_size=1, max_overflow=0, timeout=1)


@pytest.mark.parametrize("query", ["channel_binding=require", "gssencmode=require", "hostaddr=10.0.0.1"])
def test_what_asyncpg_cannot_do_is_an_error_and_not_ignored(query: str) -> None:
    with pytest.raises(DatabaseURLError, match=f"{query.partition('=')[0]}.*psycopg"):
        DatabaseURL.parse(f"postgresql+asyncpg://u:p@localhost/d?{query}")


# Behind a transaction pooler


@pytest.mark.parametrize("driver", ["psycopg", *only_full("asyncpg")])
async def test_eight_workers_behind_a_pooler(driver: str, pooler_url: str, open_database: Open) -> None:
    database = open_database(pooler_url, driver=driver, pool_size=8, max_overflow=0, timeout=30)
    async with database.transaction() as session:
        await value_of_nothing(session, f"create table counts_{driver} (worker int primary key, n int not null)")
        await value_of_nothing(session, f"insert into counts_{driver} select generate_series(1, 8), 0")

    async def work(worker: int) -> None:
        for n in range(100):
            async with database.transaction() as session:
                assert await value(session, f"select n from counts_{driver} where worker = :w", w=worker) == n
                await value_of_nothing(session, f"update counts_{driver} set n = n + 1 where worker = :w", w=worker)
            async with database.read() as session:
                assert await value(session, f"select n from counts_{driver} where worker = :w", w=worker) == n + 1

    await asyncio.gather(*map(work, range(1, 9)))

    assert await ask(database, f"select sum(n) from counts_{driver}") == 800


async def value_of_nothing(session: AsyncSession, statement: str, **parameters: Any) -> None:
    await (await session.connection()).execute(text(statement), parameters)


@DRIVERS
async def test_round_trips(
    driver: str, pooler: Pooler, postgres_database: str, open_database: Open, record_property: Callable[..., None]
) -> None:
    with Network(pooler.host, pooler.port, delay=0.005) as network:
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{network.port}/{postgres_database}?sslmode=require"
        database = open_database(url, driver=driver)

        async def read(queries: int) -> None:
            async with database.read() as session:
                for number in range(queries):
                    await (await session.connection()).execute(SUM, {"a": number, "b": 1})

        async def write(queries: int) -> None:
            async with database.transaction() as session:
                for number in range(queries):
                    await (await session.connection()).execute(SUM, {"a": number, "b": 1})

        async def count(work: Callable[[int], Any], queries: int) -> int:
            before = network.round_trips
            await work(queries)
            return network.round_trips - before

        first = await count(read, 0), await count(read, 1)
        get, post = await count(read, 3), await count(write, 3)
        await database.dispose()
    record_property("round_trips", {"first": first, "get": get, "post": post})

    assert sum(first) <= 12
    assert get <= 3.5
    assert post <= 3 + 2.5


@DRIVERS
async def test_reading_and_writing_take_turns_on_one_connection(
    driver: str, postgres_url: str, open_database: Open
) -> None:
    database = open_database(postgres_url, driver=driver, pool_size=1, max_overflow=0)
    async with database.transaction() as session:
        await value_of_nothing(session, f"create table turns_{driver} (n int)")

    async def write_and_fail() -> None:
        async with database.transaction() as session:
            await value_of_nothing(session, f"insert into turns_{driver} values (1)")
            raise LookupError

    for written in range(3):
        assert await ask(database, f"select count(*) from turns_{driver}") == written
        with pytest.raises(LookupError):
            await write_and_fail()
        assert await ask(database, f"select count(*) from turns_{driver}") == written
        async with database.transaction() as session:
            assert await value(session, "show transaction_isolation") == "read committed"
            await value_of_nothing(session, f"insert into turns_{driver} values (1)")


@DRIVERS
async def test_connections_beyond_the_pools_size_stay_while_the_load_lasts(
    driver: str, plain_front: Front, postgres_database: str, open_database: Open
) -> None:
    with Network("127.0.0.1", plain_front.port) as network:
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{network.port}/{postgres_database}?sslmode=disable"
        clock = ManualClock()
        database = open_database(url, driver=driver, pool_size=2, max_overflow=3, clock=clock)

        async def five_at_once() -> None:
            await asyncio.gather(*(ask(database, "select pg_sleep(0.05)") for _ in range(5)))

        for _ in range(4):
            await five_at_once()
        assert network.connections == 5

        clock.advance(pool.LINGER)
        for _ in range(5):
            await ask(database)
        assert database.engine.sync_engine.pool.checkedin() == 2

        await five_at_once()
        assert network.connections == 8
        await database.dispose()


@DRIVERS
async def test_a_connection_that_is_returned_after_the_end_is_closed(
    driver: str, postgres_url: str, open_database: Open
) -> None:
    """As of a function that does not stop when it should: it may finish, and leaves nothing behind."""
    database = open_database(postgres_url, driver=driver)

    async with database.read() as session:
        process = await value(session, "select pg_backend_pid()")
        await database.dispose()
        assert await value(session, "select 1") == 1

    async def gone() -> bool:
        return not await ask(database, "select count(*) from pg_stat_activity where pid = :pid", pid=process)

    await until(gone, 10)
    await database.dispose()


@DRIVERS
async def test_a_changed_column_costs_asyncpg_one_failure_at_most(
    driver: str, postgres: Postgres, postgres_url: str, postgres_database: str, open_database: Open
) -> None:
    database = open_database(postgres_url, driver=driver)
    async with database.transaction() as session:
        await value_of_nothing(session, f"create table things_{driver} (n int4)")
        await value_of_nothing(session, f"insert into things_{driver} values (7)")
    assert await ask(database, f"select n from things_{driver}") == 7

    postgres.execute(f"alter table things_{driver} alter n type text", database=postgres_database)
    if driver == "asyncpg":
        with pytest.raises(AssertionError, match="insufficient data"):  # asyncpg's own
            await ask(database, f"select n from things_{driver}")

    assert await ask(database, f"select n from things_{driver}") == "7"


# Connections that die


@DRIVERS
async def test_a_connection_killed_while_idle_is_replaced(
    driver: str, postgres: Postgres, postgres_url: str, open_database: Open
) -> None:
    database = open_database(postgres_url, driver=driver)
    killed = await ask(database, "select pg_backend_pid()")

    postgres.execute(f"select pg_terminate_backend({killed}, 2000)")
    await asyncio.sleep(0.01)  # the event loop hears of it between two requests

    assert await ask(database, "select pg_backend_pid()") != killed


@DRIVERS
async def test_a_connection_killed_in_use_is_an_outage_and_the_next_works(
    driver: str, postgres: Postgres, postgres_url: str, open_database: Open
) -> None:
    database = open_database(postgres_url, driver=driver)

    async def use_after_the_kill() -> None:
        async with database.transaction() as session:
            pid = await value(session, "select pg_backend_pid()")
            postgres.execute(f"select pg_terminate_backend({pid}, 2000)")
            await value(session, "select 1")

    with pytest.raises(DatabaseUnavailable):
        await use_after_the_kill()

    assert await ask(database) == 1


class FrozenClock(ManualClock):
    """One of its two readings moves; which one does in a freeze depends on the freezer."""

    def __init__(self, moves: str) -> None:
        super().__init__()
        self._moves = moves

    def monotonic(self) -> float:
        return super().monotonic() if self._moves == "monotonic" else 0.0

    def time(self) -> float:
        return super().time() if self._moves == "time" else self._started


@DRIVERS
@pytest.mark.parametrize("moves", ["monotonic", "time"])
async def test_only_an_idle_connection_is_checked_whichever_clock_says_so(
    driver: str, moves: str, plain_front: Front, postgres_database: str, open_database: Open
) -> None:
    clock = FrozenClock(moves)
    with Network("127.0.0.1", plain_front.port) as network:
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{network.port}/{postgres_database}?sslmode=disable"
        database = open_database(url, driver=driver, clock=clock)
        await ask(database)
        await ask(database)

        clock.advance(pool.IDLE_LIMIT)
        before = network.round_trips
        await ask(database)
        fresh = network.round_trips - before

        clock.advance(pool.IDLE_LIMIT + 1)
        before = network.round_trips
        await ask(database)
        idle = network.round_trips - before
        await database.dispose()

    assert (fresh, idle) == (1, 2)


@DRIVERS
async def test_sockets_that_died_unseen_during_a_freeze(
    driver: str, plain_front: Front, postgres_database: str, open_database: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Network("127.0.0.1", plain_front.port) as network:
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{network.port}/{postgres_database}?sslmode=disable"
        clock = ManualClock()
        database = open_database(url, driver=driver, clock=clock)
        await asyncio.gather(*(ask(database) for _ in range(3)))
        connections = network.connections
        network.forget()
        clock.advance(pool.IDLE_LIMIT + 1)
        monkeypatch.setattr(pool, "PING_TIMEOUT", 0.2)

        answers = await asyncio.gather(*(ask(database) for _ in range(3)))
        await database.dispose()

    assert answers == [1, 1, 1]
    assert network.connections > connections


# Nothing hangs


@DRIVERS
async def test_a_server_that_never_says_a_word(driver: str, open_database: Open) -> None:
    with BlackHole() as hole:
        url = f"postgresql://u:hidden@127.0.0.1:{hole.port}/d?sslmode=require"
        database = open_database(url, driver=driver, pool_size=1, max_overflow=0, timeout=0.5)

        # The second waits for the first's place in the pool, and must not wait as long again for a connection.
        async with asyncio.timeout(5):
            outcomes = await asyncio.gather(ask(database), ask(database), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [DatabaseUnavailable] * 2
    assert "hidden" not in f"{outcomes}{[outcome.__cause__ for outcome in outcomes]}"


@DRIVERS
async def test_a_server_that_stops_answering_during_a_query(
    driver: str, plain_front: Front, postgres_database: str, open_database: Open
) -> None:
    with Network("127.0.0.1", plain_front.port) as network:
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{network.port}/{postgres_database}?sslmode=disable"
        database = open_database(url, driver=driver, timeout=1)
        await ask(database)

        async def use_while_the_network_forgets() -> None:
            async with database.transaction() as session:
                await value(session, "select 1")
                network.forget()
                await value(session, "select 2")

        async with asyncio.timeout(8):
            with pytest.raises(DatabaseUnavailable):
                await use_while_the_network_forgets()
            assert await ask(database) == 1
            await database.dispose()


@DRIVERS
async def test_a_pool_with_no_free_place(driver: str, postgres_url: str, open_database: Open) -> None:
    database = open_database(postgres_url, driver=driver, pool_size=1, max_overflow=0, timeout=0.5)
    async with database.read() as session:
        await value(session, "select 1")
        with pytest.raises(DatabaseUnavailable, match="All 1 connections of this process"):
            await ask(database)

    assert await ask(database) == 1


@DRIVERS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("localhost", "no-such-host.invalid"), "The name of its host is unknown"),
        ((ENCODED_PASSWORD, "wrong-one"), "refuses the user or the password"),
        (("/test_", "/absent_"), "It has no database of that name"),
    ],
)
async def test_what_cannot_be_reached_says_so_without_secrets(
    driver: str, change: tuple[str, str], message: str, postgres_url: str, open_database: Open
) -> None:
    database = open_database(postgres_url.replace(*change), driver=driver)

    with pytest.raises(DatabaseUnavailable, match=message) as caught:
        await ask(database)

    assert caught.value.status == 503
    assert caught.value.target == database.url.masked
    for secret in (PASSWORD, ENCODED_PASSWORD, "wrong-one"):
        assert secret not in f"{caught.value}{caught.value.__cause__}"
