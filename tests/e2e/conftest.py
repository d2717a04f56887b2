"""Running sites that the tests share, and a browser that complains of everything."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright import async_api, sync_api

from tests.services.browser import MISSING, find_chromium
from tests.services.pooler import Pooler
from tests.services.postgres import ENCODED_PASSWORD, USER, Postgres
from tests.services.site import PATIENCE, SECRET_KEY, Site, copy_project, succeed


@pytest.fixture(scope="session")
def seeded_project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project on SQLite with its sample data; for copying, not for changing or running."""
    project = copy_project(tmp_path_factory.mktemp("seeded") / "project")
    succeed(project, "oppdemo.py", "init")
    return project


@pytest.fixture(scope="session")
def site(seeded_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The project as it is on somebody's own machine. Tests leave its data as they found it."""
    project = tmp_path_factory.mktemp("shared") / "project"
    shutil.copytree(seeded_project, project)
    with Site(project) as running:
        yield running


@pytest.fixture(scope="session")
def leapcell_environ(postgres: Postgres, pooler: Pooler) -> dict[str, str]:
    """What is set on LeapCell: the platform, the pooler's URL, a key, the first superuser."""
    database = postgres.create_database()
    url = f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{pooler.port}/{database}?sslmode=require"
    return {
        "FASTOPP_PLATFORM": "leapcell",
        "DATABASE_URL": url,
        "SECRET_KEY": SECRET_KEY,
        "SUPERUSER_PASSWORD": "a-Long-one-1",
    }


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """This machine's Chromium."""
    path = find_chromium()
    if path is None:
        pytest.skip(MISSING)
    for expect in (async_api.expect, sync_api.expect):
        expect.set_options(timeout=PATIENCE * 1000)  # on a busy machine; whatever is there is seen at once
    return path
