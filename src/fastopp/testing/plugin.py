"""The pytest plugin for projects: its fixtures, described in docs/testing.md.

pytest imports this module in every run where FastOpp is installed, so a fixture imports what it needs.
"""

# ruff: noqa: PLC0415 - see above
from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import asyncio

    import httpx

    from fastopp.features.accounts.models import User
    from fastopp.settings import Settings
    from fastopp.storage.base import Storage
    from fastopp.testing.clients import AsyncClientAs, ClientAs, Outbox, Run
    from fastopp.testing.clock import ManualClock
    from fastopp.testing.databases import Template
    from fastopp.testing.project import Project

BACKEND = "anyio_backend"
"""The fixture by which anyio's plugin, which FastAPI brings, knows that a test or a fixture is to be run by it."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for PostgreSQL."""
    group = parser.getgroup("fastopp")
    help_text = "a PostgreSQL database whose user may create others: tests get copies there, instead of SQLite files"
    group.addoption("--fastopp-database", metavar="URL", help=help_text)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "settings(**variables): environment variables of the project in this test")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out the tests in a project's `backups`, where `destroy` and `clean` move apps that it no longer has."""
    is_backup = collection_path.name == "backups" and (collection_path.parent / "oppman.py").is_file()
    return True if is_backup else None


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests that use a project on asyncio alone, as the project does."""
    if {"project", BACKEND} <= set(metafunc.fixturenames):
        backend = pytest.mark.parametrize(BACKEND, ["asyncio"], ids=[pytest.HIDDEN_PARAM], scope="session")
        metafunc.definition.add_marker(backend)


@pytest.fixture(scope="session")
def project_folder(pytestconfig: pytest.Config) -> Path:
    """The folder of the project, with main.py, from which Python imports."""
    for folder in (pytestconfig.rootpath, Path.cwd()):
        if (folder / "main.py").is_file():
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            return folder
    pytest.fail(f"There is no main.py in {pytestconfig.rootpath}. Run pytest in the folder of your project.")


@pytest.fixture(scope="session")
def project_apps(project_folder: Path) -> list[str]:
    """The apps of the project, as main.py lists them."""
    from fastopp.console.main_file import list_apps

    return list_apps(project_folder / "main.py")


@pytest.fixture(scope="session")
def database_template(
    pytestconfig: pytest.Config,
    project_folder: Path,
    project_apps: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Template]:
    """The database that is copied for each test."""
    from fastopp.testing.databases import open_template

    url, folder = pytestconfig.getoption("fastopp_database"), tmp_path_factory.mktemp("database")
    with open_template(url, project_apps, project_folder / "alembic", folder) as template:
        yield template


@pytest.fixture
def database_url(database_template: Template, tmp_path: Path) -> Iterator[str]:
    """The URL of a database for this test alone."""
    with database_template(tmp_path) as url:
        yield url


@pytest.fixture
def environ() -> Mapping[str, str]:
    """Environment variables of the project in all tests. Nothing of the machine's own, and of `.env`, is read."""
    return {}


@pytest.fixture
def settings(
    request: pytest.FixtureRequest,
    project_apps: list[str],
    environ: Mapping[str, str],
    database_url: str,
    tmp_path: Path,
) -> Settings:
    """The settings of the project, with those of the marker `settings`, the closest of which wins."""
    from fastopp.core.app_settings import app_settings
    from fastopp.core.apps import find_apps
    from fastopp.settings import load_settings
    from fastopp.testing.clients import HOST

    variables = {"ALLOWED_HOSTS": HOST, "UPLOAD_DIR": str(tmp_path / "uploads")} | dict(environ)
    for mark in reversed(list(request.node.iter_markers("settings"))):
        variables |= mark.kwargs
    variables["DATABASE_URL"] = database_url
    kinds = app_settings(find_apps(project_apps))
    return load_settings(variables, env_file=tmp_path / "no.env", app_settings=kinds)


@pytest.fixture
def clock() -> ManualClock:
    """The clock of the project: its time passes only by `clock.advance(seconds)`."""
    from fastopp.testing.clock import ManualClock

    return ManualClock()


@pytest.fixture
def storage(clock: ManualClock) -> Storage:
    """The storage of uploaded files, in memory."""
    from fastopp.testing.storage import MemoryStorage

    return MemoryStorage(clock=clock)


@pytest.fixture
async def project(
    anyio_backend: object,
    project_folder: Path,
    project_apps: list[str],
    settings: Settings,
    clock: ManualClock,
    storage: Storage,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Project]:
    """The project, running, with an empty database."""
    from fastopp.testing.project import open_project

    monkeypatch.chdir(project_folder)  # which holds its templates and static files
    async with open_project(project_apps, settings, clock=clock, storage=storage) as running:
        yield running


@pytest.fixture
async def event_loop_of_test(anyio_backend: object) -> asyncio.AbstractEventLoop:
    """The event loop of the test, and of the project."""
    import asyncio

    return asyncio.get_running_loop()


@pytest.fixture
def run(event_loop_of_test: asyncio.AbstractEventLoop) -> Run:
    """Run a coroutine in a test without `async`: `run(project.add(book))`."""
    from fastopp.testing.clients import run_on

    return run_on(event_loop_of_test)


@pytest.fixture
def outbox(project: Project, run: Run) -> Outbox:
    """Return the mails that were queued, in order, in a test without `async`: `outbox()`."""
    return lambda: run(project.mails())


@pytest.fixture
def client(project: Project, run: Run) -> Iterator[httpx.Client]:
    """A browser that is not signed in."""
    from fastopp.testing.clients import open_client

    with open_client(project, run) as browser:
        yield browser


@pytest.fixture
def client_as(project: Project, run: Run) -> Iterator[ClientAs]:
    """Open browsers that are signed in: `client_as("staff")`. See `Project.user`."""
    from fastopp.testing.clients import open_client

    with ExitStack() as browsers:

        def sign_in(who: User | str) -> httpx.Client:
            return browsers.enter_context(open_client(project, run, run(project.user(who))))

        yield sign_in


@pytest.fixture
async def async_client(project: Project) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is not signed in, for asynchronous tests."""
    from fastopp.testing.clients import open_async_client

    async with await open_async_client(project) as browser:
        yield browser


@pytest.fixture
async def async_client_as(project: Project) -> AsyncIterator[AsyncClientAs]:
    """Open browsers that are signed in, for asynchronous tests: `await async_client_as("staff")`."""
    from fastopp.testing.clients import open_async_client

    async with AsyncExitStack() as browsers:

        async def sign_in(who: User | str) -> httpx.AsyncClient:
            return await browsers.enter_async_context(await open_async_client(project, await project.user(who)))

        yield sign_in
