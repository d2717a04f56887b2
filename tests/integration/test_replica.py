"""Reading a real streaming replica of PostgreSQL: never older than one's own writes, and never for accounts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fastopp.core.dependencies import POSITION_HEADER
from fastopp.database.replica import AVOIDED, NEVER_REACHED, format_position, parse_position, position_of_lsn
from fastopp.settings import SettingsError
from fastopp.testing import ManualClock
from tests.gate import full
from tests.services.checks_project import local, make_project, run_async
from tests.services.ops_project import PRODUCTION, QUIET, Project, initialised, running, settings_of
from tests.services.replica import Replicated

APPS = ["demo.users", "demo.products", "tests.services.region_app"]
NAMES = "/region/names"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    """A primary and a replica with the tables and accounts of the demo."""
    with Replicated() as pair:
        folder = tmp_path_factory.mktemp("replica")

        async def fill() -> None:
            await initialised(pair.url, folder)

        from tests.services.aside import run_aside

        run_aside(fill())
        pair.resume()
        yield pair


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(servers: Replicated, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Project]:
    environ = PRODUCTION | QUIET | {"DATABASE_READ_URL": servers.read_url}
    async with running(servers.url, tmp_path, environ, APPS, clock=clock) as started:
        yield started


@pytest.fixture
def paused(servers: Replicated) -> Iterator[Replicated]:
    """The replica shows nothing newer than now."""
    servers.resume()
    servers.pause()
    yield servers
    servers.resume()


def test_positions() -> None:
    assert position_of_lsn("16/B374D848") == 0x16B374D848
    assert position_of_lsn("0/0") == 0
    assert parse_position(format_position(0x16B374D848)) == 0x16B374D848
    assert parse_position(format_position(NEVER_REACHED)) == NEVER_REACHED
    for wrong in ("", "x", "16/B374D848", "-1", " 1", "1_0", "0x10", "f" * 17):
        assert parse_position(wrong) == 0


async def test_one_reads_what_one_wrote(project: Project, paused: Replicated) -> None:
    async with project.client() as writer, project.client() as other, project.client() as program:
        assert (await other.get(NAMES)).json()["replica"]
        added = await writer.post(NAMES, params={"name": "Lamp"})
        assert added.json() == {"replica": False}
        position = added.headers[POSITION_HEADER]
        assert parse_position(position) > 0
        cookie = added.headers["set-cookie"]
        assert cookie.startswith(f"position={position}; HttpOnly; Max-Age=3600; Path=/")

        assert (await writer.get(NAMES, params={"name": "Lamp"})).json() == {"count": 1, "replica": False}
        assert (await other.get(NAMES, params={"name": "Lamp"})).json() == {"count": 0, "replica": True}
        told = await program.get(NAMES, params={"name": "Lamp"}, headers={POSITION_HEADER: position})
        assert told.json() == {"count": 1, "replica": False}
        assert "set-cookie" not in told.headers  # it has written nothing

        paused.resume()
        assert (await writer.get(NAMES, params={"name": "Lamp"})).json() == {"count": 1, "replica": True}


async def test_a_get_that_writes_in_its_own_transaction_counts(project: Project, paused: Replicated) -> None:
    async with project.client() as writer:
        await writer.get("/region/own-transaction", params={"name": "Chair"})
        assert (await writer.get(NAMES, params={"name": "Chair"})).json() == {"count": 1, "replica": False}


async def stale_reads(project: Project, rounds: int, *, keep_position: bool) -> tuple[int, int]:
    """Write and read back as often by eight clients. Return how many reads were stale, and how many at the replica."""
    stale = near = 0

    async def client_of() -> None:
        nonlocal stale, near
        async with project.client() as client:
            for _ in range(rounds // 8):
                name = uuid4().hex
                answer = await client.post(NAMES, params={"name": name})
                assert answer.status_code == 200, answer.text
                if not keep_position:
                    client.cookies.clear()
                found = (await client.get(NAMES, params={"name": name})).json()
                stale += found["count"] == 0
                near += found["replica"]

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(client_of())
    return stale, near


async def test_no_read_is_older_than_ones_own_write(project: Project, servers: Replicated) -> None:
    stale, _ = await stale_reads(project, 80, keep_position=True)
    assert stale == 0
    assert (await stale_reads(project, 80, keep_position=False))[0] > 0  # else this would prove nothing


@full
@pytest.mark.timeout(1500)
async def test_no_read_of_ten_thousand(project: Project, servers: Replicated) -> None:
    stale, near = await stale_reads(project, 10_000, keep_position=True)
    print(f"\n10,000 writes and reads: {stale} stale, {near} at the replica")  # noqa: T201 - a figure
    assert stale == 0


async def test_a_session_that_was_ended_is_ended_at_once(project: Project, paused: Replicated) -> None:
    async with project.signed_in() as client:
        client.cookies.delete("position")
        # The replica does not know this session yet, nor that it ends.
        assert (await client.get("/region/me")).json() == {"email": "admin@example.com", "replica": True}
        paused.execute("delete from sessions", database="app")
        assert (await client.get("/region/me")).status_code == 401


async def test_a_write_by_the_session_of_a_get_is_refused_in_words(project: Project, paused: Replicated) -> None:
    async with project.client() as client:
        answer = await client.get("/region/write")
    assert answer.status_code == 500
    assert "reads a replica of the database, which cannot be written" in answer.text
    assert paused.execute("select count(*) from products where name = 'by a GET'", database="app") == 0


async def test_what_a_replica_says_is_not_cached(project: Project, paused: Replicated) -> None:
    async with project.client() as writer, project.client() as other:
        before = (await other.get("/region/value")).json()
        assert before["replica"]
        await writer.post(NAMES, params={"name": "Table"})
        assert (await other.get("/region/value")).json() == before  # old, as a replica is, and kept by no cache
        # A cached page reads the primary for every client, and others get that.
        page = (await other.get("/region/page")).json()
        assert page == {"count": before["count"] + 1, "replica": False}
        assert (await other.get("/region/value")).json() == {"count": before["count"] + 1, "replica": True}


async def test_the_check_of_a_replica(servers: Replicated, postgres_url: str, tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")

    async def found(**variables: str) -> str:
        return " ".join(each.message for each in await run_async("W114", local(project, **variables)))

    assert await found(DATABASE_URL=servers.url) == ""
    assert await found(DATABASE_URL=servers.url, DATABASE_READ_URL=servers.read_url) == ""
    assert "does not replay" in await found(DATABASE_URL=servers.url, DATABASE_READ_URL=servers.url)
    other = await found(DATABASE_URL=servers.url, DATABASE_READ_URL=postgres_url)
    assert "another database cluster" in other
    nowhere = "postgresql://app:dbsecret@127.0.0.1:1/app?sslmode=disable"
    away = await found(DATABASE_URL=servers.url, DATABASE_READ_URL=nowhere)
    assert "cannot be reached" in away
    assert "dbsecret" not in away


async def test_what_is_no_replica_is_not_read(servers: Replicated, tmp_path: Path, clock: ManualClock) -> None:
    environ = PRODUCTION | QUIET | {"DATABASE_READ_URL": servers.url}
    async with running(servers.url, tmp_path, environ, APPS, clock=clock) as project, project.client() as client:
        assert (await client.get(NAMES)).json()["replica"] is False


async def test_while_the_replica_is_away_the_primary_is_read(
    servers: Replicated, tmp_path: Path, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = "postgresql://app:x@127.0.0.1:1/app?sslmode=disable"
    environ = PRODUCTION | QUIET | {"DATABASE_READ_URL": nowhere}
    async with running(servers.url, tmp_path, environ, APPS, clock=clock) as project, project.client() as client:
        for _ in range(3):
            answer = await client.get(NAMES)
            assert (answer.status_code, answer.json()["replica"]) == (200, False)
        said = [record for record in caplog.records if getattr(record, "action", "") == "replica_avoided"]
        assert len(said) == 1  # it is not asked again at once
        clock.advance(AVOIDED + 1)
        await client.get(NAMES)
        said = [record for record in caplog.records if getattr(record, "action", "") == "replica_avoided"]
        assert len(said) == 2


@pytest.mark.parametrize(
    ("url", "read_url", "what"),
    [
        ("sqlite:///./a.db", "postgresql://u@h/d", "Only PostgreSQL has replicas"),
        ("postgresql://u@h/d", "sqlite:///./a.db", "Only PostgreSQL has replicas"),
        ("postgresql://u@h/d", "mysql://u@h/d", "DATABASE_READ_URL"),
    ],
)
def test_a_wrong_address(url: str, read_url: str, what: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=what):
        settings_of(url, tmp_path, {"DATABASE_READ_URL": read_url})


def test_the_last_one_stops_the_replica(servers: Replicated, tmp_path: Path, clock: ManualClock) -> None:
    """A replica that dies while it is in use: the next request reads the primary."""

    async def run() -> None:
        environ = PRODUCTION | QUIET | {"DATABASE_READ_URL": servers.read_url}
        async with running(servers.url, tmp_path, environ, APPS, clock=clock) as project, project.client() as client:
            assert (await client.get(NAMES)).json()["replica"]
            servers.stop_replica()
            answer = await client.get(NAMES)
            assert (answer.status_code, answer.json()["replica"]) == (200, False)

    asyncio.run(run())
