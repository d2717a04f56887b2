"""Checks that connect: to PostgreSQL with and without TLS and a pooler, to a bucket and its CDN."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.database.migrations import migrate
from fastopp.database.session import Database
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import hash_password
from fastopp.features.accounts.service import add_if_missing
from leapcell_emulator.services.postgres import Postgres
from leapcell_emulator.services.postgres_server import PostgresServer
from tests.services.checks_project import KEY, context, local, make_project, run_async
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import Fault, FaultProxy, OddServer

ROOT = Path(__file__).parents[2]
DRIVERS = pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path / "project")


def using(url: str, driver: str) -> str:
    return url.replace("postgresql://", f"postgresql+{driver}://", 1)


@DRIVERS
async def test_a_database_that_answers(project: Path, tls_url: str, driver: str) -> None:
    looked_at = context(project, DATABASE_URL=using(tls_url, driver))
    for number in ("E110", "E111", "I112", "W113"):
        assert await run_async(number, looked_at) == [], number


@DRIVERS
async def test_a_database_that_does_not(project: Path, driver: str) -> None:
    url = f"postgresql+{driver}://u:dbsecret@127.0.0.1:1/d?sslmode=require"
    (finding,) = await run_async("E110", context(project, DATABASE_URL=url, DB_TIMEOUT="3"))
    assert "dbsecret" not in finding.message + finding.hint


@DRIVERS
async def test_no_tls(project: Path, postgres_url: str, driver: str) -> None:
    looked_at = context(project, DATABASE_URL=using(f"{postgres_url}?sslmode=disable", driver))
    assert len(await run_async("E111", looked_at)) == 1


@DRIVERS
async def test_a_pooler_is_recognised(project: Path, pooler_url: str, driver: str) -> None:
    looked_at = context(project, DATABASE_URL=using(pooler_url, driver))
    (finding,) = await run_async("I112", looked_at)
    assert finding.level == "info"
    assert await run_async("E111", looked_at) == []


async def test_a_pooler_whose_servers_take_turns_is_recognised(project: Path) -> None:
    async with Postgres() as database:
        (finding,) = await run_async("I112", context(project, DATABASE_URL=database.url))
    assert finding.message.startswith("A transaction pooler was detected")


async def test_too_many_connections(project: Path) -> None:
    server = PostgresServer(max_connections=100)  # the shared one allows more
    try:
        await server.start(within=120)
        url = f"postgresql://postgres@/postgres?host={server.folder}&port={server.port}"
        for size, found in (("50", 0), ("100", 1)):
            looked_at = context(project, DATABASE_URL=url, DB_POOL_SIZE=size, DB_MAX_OVERFLOW=size)
            assert len(await run_async("W113", looked_at)) == found
    finally:
        await server.stop()


async def test_sqlite_has_no_tls_and_no_pooler(project: Path, tmp_path: Path) -> None:
    looked_at = local(project, DATABASE_URL=f"sqlite:///{tmp_path}/a.db")
    for number in ("E110", "E111", "I112", "W113"):
        assert await run_async(number, looked_at) == [], number
    missing = local(project, DATABASE_URL=f"sqlite:///{tmp_path}/missing/a.db")
    assert len(await run_async("E110", missing)) == 1


def deployed(project: Path, tmp_path: Path) -> CheckContext:
    """This repository's migrations, on a SQLite database in production."""
    (project / "alembic").symlink_to(ROOT / "alembic")
    url = f"sqlite:///{tmp_path}/a.db"
    return local(project, ENVIRONMENT="production", SECRET_KEY=KEY, DATABASE_URL=url)


async def test_migrations(project: Path, tmp_path: Path) -> None:
    looked_at = deployed(project, tmp_path)
    (finding,) = await run_async("E123", looked_at)
    assert "0001" in finding.message
    await migrate.upgrade(looked_at.settings, folder=project / "alembic")
    assert await run_async("E123", looked_at) == []


async def test_published_passwords(project: Path, tmp_path: Path) -> None:
    looked_at = deployed(project, tmp_path)
    with pytest.raises(CannotCheck):
        await run_async("E131", looked_at)
    await migrate.upgrade(looked_at.settings, folder=project / "alembic")
    database = Database.from_settings(looked_at.settings)
    async with database.transaction() as session:
        for name, password in (("a", "admin123"), ("b", "test123"), ("c", "something else")):
            hashed = await hash_password(password)
            await add_if_missing(session, User(email=f"{name}@example.com", hashed_password=hashed))
        inactive = User(email="d@example.com", hashed_password=await hash_password("test123"), is_active=False)
        await add_if_missing(session, inactive)
    await database.dispose()
    found = {finding.message.partition(" ")[0] for finding in await run_async("E131", looked_at)}
    assert found == {"a@example.com", "b@example.com"}
    at_home = local(project, DATABASE_URL=f"sqlite:///{tmp_path}/a.db")
    assert await run_async("E131", at_home) == []


@pytest.fixture
def proxy(rclone: RcloneServer) -> Iterator[FaultProxy]:
    with FaultProxy(rclone) as running:
        yield running


@pytest.fixture
def bucket(rclone: RcloneServer) -> str:
    return rclone.create_bucket()


@pytest.fixture
def cdn(rclone: RcloneServer, bucket: str) -> Iterator[str]:
    """The public address of the bucket: its folder, served to everyone."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(rclone.folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/{bucket}"
        server.shutdown()


def stored(project: Path, endpoint: str, bucket: str, **changes: str) -> CheckContext:
    keys = {"S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "S3_BUCKET": bucket, "S3_ENDPOINT_URL": endpoint}
    return context(project, **(keys | changes))


async def test_a_bucket_that_works(project: Path, rclone: RcloneServer, bucket: str, cdn: str) -> None:
    looked_at = stored(project, rclone.endpoint, bucket, S3_CDN_URL=cdn)
    for number in ("E210", "E211", "W212"):
        assert await run_async(number, looked_at) == [], number
    left = [path for path in rclone.bucket(bucket).rglob("*") if path.is_file()]
    assert left == [], "probes are deleted"


async def test_a_bucket_that_refuses(project: Path, proxy: FaultProxy, bucket: str) -> None:
    looked_at = stored(project, proxy.endpoint, bucket, S3_SECRET_KEY="another-secret")
    (finding,) = await run_async("E210", looked_at)
    assert "could not be written" in finding.message
    assert "another-secret" not in finding.message + finding.hint


async def test_a_bucket_that_forgets(project: Path, proxy: FaultProxy, bucket: str) -> None:
    looked_at = stored(project, proxy.endpoint, bucket)
    proxy.faults.append(Fault(methods="GET", times=50, refuse=(404, "NoSuchKey")))
    (finding,) = await run_async("E210", looked_at)
    assert "could not be read back" in finding.message


async def test_a_wrong_cdn(project: Path, rclone: RcloneServer, bucket: str, cdn: str) -> None:
    wrong = cdn.removesuffix(f"/{bucket}")
    (finding,) = await run_async("E211", stored(project, rclone.endpoint, bucket, S3_CDN_URL=wrong))
    assert "404" in finding.message


async def test_no_cdn_and_no_bucket(project: Path, rclone: RcloneServer, bucket: str) -> None:
    with pytest.raises(CannotCheck, match="S3_CDN_URL"):
        await run_async("E211", stored(project, rclone.endpoint, bucket, S3_CDN_URL=""))
    with pytest.raises(CannotCheck, match="No Object Storage"):
        await run_async("E210", local(project))


async def test_a_bucket_that_is_nearly_full(project: Path, rclone: RcloneServer, bucket: str) -> None:
    for number in range(4):
        (rclone.bucket(bucket) / f"{number}.txt").write_text("x")
    rclone.forget()
    full = stored(project, rclone.endpoint, bucket, S3_QUOTA_FILES="5", S3_QUOTA_MB="0")
    (finding,) = await run_async("W212", full)
    assert "80% full: 4 files" in finding.message
    roomy = stored(project, rclone.endpoint, bucket, S3_QUOTA_FILES="6", S3_QUOTA_MB="0")
    assert await run_async("W212", roomy) == []


async def test_a_bucket_with_leapcells_oddities(project: Path, rclone: RcloneServer, bucket: str, cdn: str) -> None:
    with OddServer(rclone) as odd:
        odd.encodes_keys = odd.deaf_to_slashes = odd.blind_head = True
        looked_at = stored(project, odd.endpoint, bucket, S3_CDN_URL=cdn)
        for number in ("E210", "E211", "W212"):
            assert await run_async(number, looked_at) == [], number
    assert [path for path in rclone.bucket(bucket).rglob("*") if path.is_file()] == []
