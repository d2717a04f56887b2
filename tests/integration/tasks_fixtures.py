"""Databases with the tables of tasks, for the tests that import these fixtures."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from fastopp.core.runtime import Runtime
from fastopp.tasks.limits import TaskLimits
from fastopp.testing import ManualClock
from tests.gate import only_full
from tests.services.postgres import ENCODED_PASSWORD, USER
from tests.services.tasks import (
    copy_sqlite_template,
    empty_postgres_database,
    make_sqlite_template,
    open_project,
)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    return make_sqlite_template(tmp_path_factory.mktemp("tasks"))


EACH = ("sqlite", "psycopg", "asyncpg", "pooler")


@pytest.fixture(params=["sqlite", *only_full("psycopg", "asyncpg"), "pooler"])
def tasks_url(request, tmp_path) -> str:
    """The URL of a database with the tables: on a machine, and as on LeapCell, behind a transaction pooler."""
    return url_of(request.param, request, tmp_path)


@pytest.fixture(params=EACH)
def each_url(request, tmp_path) -> str:
    """The same for what depends on the driver or the pooler."""
    return url_of(request.param, request, tmp_path)


@pytest.fixture(params=["sqlite", "psycopg"])
def plain_url(request, tmp_path) -> str:
    """The same for what no driver and no pooler changes."""
    return url_of(request.param, request, tmp_path)


def url_of(kind: str, request, tmp_path) -> str:
    if kind == "sqlite":
        return copy_sqlite_template(request.getfixturevalue("sqlite_template"), tmp_path)
    name = empty_postgres_database(request.getfixturevalue("postgres"))
    if kind == "pooler":
        port = request.getfixturevalue("pooler").port
        return f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{port}/{name}?sslmode=require"
    return request.getfixturevalue("postgres").url(name).replace("postgresql://", f"postgresql+{kind}://")


@pytest.fixture
async def project(tasks_url) -> AsyncIterator[Runtime]:
    async with open_project(tasks_url, make=False) as runtime:
        yield runtime


@pytest.fixture
async def each_project(each_url) -> AsyncIterator[Runtime]:
    async with open_project(each_url, make=False) as runtime:
        yield runtime


@pytest.fixture
async def plain_project(plain_url) -> AsyncIterator[Runtime]:
    async with open_project(plain_url, make=False) as runtime:
        yield runtime


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def timed_project(plain_url, clock) -> AsyncIterator[Runtime]:
    """A project whose budgets end when the test moves `clock`."""
    async with open_project(plain_url, make=False, clock=clock, limits=TaskLimits(cancel_grace=0.1)) as runtime:
        yield runtime
