"""Real services for the tests: each started once, at the first test that asks for it."""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import contextmanager

import pytest

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.engine import create_engine
from fastopp.database.session import Database
from fastopp.settings.database_url import DatabaseURL
from tests.services import forks
from tests.services.databases import Templates
from tests.services.front import Certificates, Front
from tests.services.pgbouncer import find_pgbouncer
from tests.services.pooler import Pooler
from tests.services.postgres import ENCODED_PASSWORD, USER, Postgres
from tests.services.run_wide import folder_of_run, running_once
from tests.services.s3 import RcloneServer, find_rclone

pytest_plugins = ["tests.collected", "tests.gate", "tests.schedule", "tests.shared"]


def pytest_configure(config: pytest.Config) -> None:
    """A shell has its background jobs ignore Ctrl+C, and they hand that on; tests press Ctrl+C on what they start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("numprocesses", None):  # the workers of xdist inherit it
        os.environ[forks.SHARED] = str(forks.start_server())


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what stays to the end: libraries, and thousands of tests."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Forget the project that a test's commands imported in this process: the next has another, or other settings."""
    path = list(sys.path)
    result = yield
    sys.path[:] = path
    sys.modules.pop("main", None)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI, where everything can be installed, a test that is skipped since something is not installed has failed."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and "not installed" in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"In CI nothing may be skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """A PostgreSQL of this run's own."""

    @contextmanager
    def start() -> Iterator[str]:
        with Postgres() as server:
            yield server.socket_folder

    path = folder_of_run(request.config, tmp_path_factory) / "postgres"
    with running_once(path, start) as folder, Postgres(folder) as server:
        yield server


@pytest.fixture(scope="session")
def templates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """Databases that are made once and copied."""
    folder = folder_of_run(request.config, tmp_path_factory) / "templates"
    folder.mkdir(exist_ok=True)
    return Templates(folder, lambda: request.getfixturevalue("postgres"))


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A certificate authority of this run's own, and a certificate for localhost."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def plain_front(postgres: Postgres) -> Iterator[Front]:
    """The PostgreSQL on a TCP port, without TLS."""
    with Front(postgres.socket_path) as front:
        yield front


@pytest.fixture(scope="session")
def tls_front(postgres: Postgres, certificates: Certificates) -> Iterator[Front]:
    """The PostgreSQL on a TCP port that insists on TLS."""
    with Front(postgres.socket_path, certificates, require_tls=True) as front:
        yield front


@pytest.fixture(scope="session")
def pooler(postgres: Postgres, certificates: Certificates) -> Iterator[Pooler]:
    """pgbouncer in transaction mode in front of the PostgreSQL, insisting on TLS."""
    if not find_pgbouncer():
        pytest.skip("pgbouncer is not installed (apt install pgbouncer)")
    with Pooler(postgres, certificates) as running:
        yield running


@pytest.fixture(scope="session")
def rclone() -> Iterator[RcloneServer]:
    """An S3 server of this run's own, which checks signatures. Ask it for a bucket: `rclone.create_bucket()`."""
    if not find_rclone():
        pytest.skip("rclone is not installed (pip install leapcell-emulator)")
    with RcloneServer() as running:
        yield running


@pytest.fixture
def postgres_database(postgres: Postgres) -> Iterator[str]:
    """The name of a fresh, empty database, deleted after the test."""
    name = postgres.create_database()
    yield name
    postgres.drop_database(name)


@pytest.fixture
def postgres_url(postgres_database: str, plain_front: Front) -> str:
    """The URL of a fresh, empty database over plain TCP."""
    return f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{plain_front.port}/{postgres_database}"


@pytest.fixture
def tls_url(postgres_database: str, tls_front: Front) -> str:
    """The URL of a fresh, empty database over TLS, as a dashboard gives it."""
    return f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{tls_front.port}/{postgres_database}?sslmode=require"


@pytest.fixture
def pooler_url(postgres_database: str, pooler: Pooler) -> str:
    """The URL of a fresh, empty database over TLS behind a transaction pooler, as on LeapCell."""
    return f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{pooler.port}/{postgres_database}?sslmode=require"


@pytest.fixture
async def open_database() -> AsyncIterator[Callable[..., Database]]:
    """Opens databases by URL, with LeapCell's pool unless told otherwise, and closes them after the test."""
    opened: list[Database] = []

    def open_one(
        url: str,
        *,
        driver: str | None = None,
        pool_size: int = 2,
        max_overflow: int = 3,
        timeout: float = 10,
        clock: Clock = SYSTEM_CLOCK,
    ) -> Database:
        if driver:
            url = url.replace("postgresql://", f"postgresql+{driver}://", 1)
        parsed = DatabaseURL.parse(url)
        engine = create_engine(parsed, pool_size=pool_size, max_overflow=max_overflow, timeout=timeout, clock=clock)
        opened.append(Database(parsed, engine))
        return opened[-1]

    yield open_one
    for database in opened:
        await database.dispose()
