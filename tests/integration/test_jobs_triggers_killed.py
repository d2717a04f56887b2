"""`kill -9` of the serving process in the middle of a trigger: the same call, made again, completes the task."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.gate import only_full
from tests.services.postgres import Postgres
from tests.services.site import Site
from tests.services.tasks_project import lines, write_project

STEPS = 40


@pytest.fixture(params=["postgresql", *only_full("sqlite")])
def database(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return "sqlite:///./test.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def site(database: str, tmp_path: Path):
    project = write_project(tmp_path / "project")
    with Site(project, {"DATABASE_URL": database, "TASK_WORKER": "false"}) as site:
        yield site


def a_minute_passes(site: Site, request: pytest.FixtureRequest) -> None:
    """For the workers' signs of life, which are in the database's time."""
    if site.environ["DATABASE_URL"].startswith("sqlite"):
        with closing(sqlite3.connect(site.project / "test.db")) as connection:
            connection.execute("UPDATE procrastinate_workers SET last_heartbeat = '2020-01-01 00:00:00.000000'")
            connection.commit()
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    name = site.environ["DATABASE_URL"].rpartition("/")[2]
    statement = "UPDATE procrastinate_workers SET last_heartbeat = last_heartbeat - interval '1 minute'"
    postgres.execute(statement, database=name)


@pytest.mark.parametrize("path", ["drain", *only_full("count")])
def test_a_killed_trigger(site: Site, path: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    effects = tmp_path / "effects"
    call = {"path": str(effects), "steps": STEPS, "pause": 0.05}
    with httpx.Client(base_url=site.url, timeout=60) as client:
        assert client.post("/async/migrate").status_code == 200
        if path == "drain":
            assert client.post("/async/count?enqueue=1", json=call).status_code == 202
    options = {} if path == "drain" else {"json": call}
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(httpx.post, f"{site.url}/async/{path}", timeout=60, **options)
        deadline = time.monotonic() + 30
        while len(lines(effects)) < 5:
            assert time.monotonic() < deadline
            assert not first.done(), first.result().text
            time.sleep(0.01)
        site.kill()
        assert isinstance(first.exception(timeout=10), httpx.TransportError)
    done = len(lines(effects))
    assert 5 <= done < STEPS
    site.start()
    with httpx.Client(base_url=site.url, timeout=60) as client:
        (task,) = client.get("/async/tasks?name=count").json()["tasks"]
        assert task["status"] == "running"
        if path != "drain":
            # It may be alive for all that the database knows.
            too_soon = client.post(f"/async/{path}", **options)
            assert too_soon.status_code == 409, too_soon.text
            assert too_soon.json()["task_id"] == task["id"]
        a_minute_passes(site, request)
        again = client.post(f"/async/{path}", **options)
        assert again.status_code == 200, again.text
        (task,) = client.get("/async/tasks?name=count").json()["tasks"]
        assert (task["status"], task["done"]) == ("succeeded", STEPS)
    written = [int(line) for line in lines(effects)]
    assert written == sorted(written)
    assert set(written) == set(range(STEPS))
    assert len(written) <= STEPS + 1  # the step that the process died in may have been written down before
