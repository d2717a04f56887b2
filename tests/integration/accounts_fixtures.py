"""Projects with accounts, for the tests that import these fixtures. The test module names the settings: `ENVIRON`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fastopp.testing import ManualClock
from tests.services.databases import url_on
from tests.services.ops_project import Project, initialised, running

url = url_on("sqlite", fill=initialised)
each_url = url_on("sqlite", "psycopg", fill=initialised)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def project(
    request: pytest.FixtureRequest, url: str, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Project]:
    """A project on SQLite, for what no database changes."""
    async with running(url, tmp_path, request.module.ENVIRON, clock=clock) as project:
        yield project


@pytest.fixture
async def either(
    request: pytest.FixtureRequest, each_url: str, tmp_path: Path, clock: ManualClock
) -> AsyncIterator[Project]:
    """The same on each database."""
    async with running(each_url, tmp_path, request.module.ENVIRON, clock=clock) as project:
        yield project
