"""`kill -9` of a drain that was woken, in the middle of a mail: the same delivery, repeated, sends the mail."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest

from tests.services.async_platform import AsyncPlatform
from tests.services.mail_server import mail_server
from tests.services.ops_project import BEARER, OPS_TOKEN, PRODUCTION
from tests.services.site import ROOT, Site
from tests.services.tasks_project import write_project


def a_minute_passes(site: Site, request: pytest.FixtureRequest) -> None:
    """For signs of life, which are in the database's time."""
    columns = {"procrastinate_workers": "last_heartbeat", "task_wakes": "claimed_at"}
    if site.environ["DATABASE_URL"].startswith("sqlite"):
        with closing(sqlite3.connect(site.project / "test.db")) as connection:
            for table, column in columns.items():
                connection.execute(f"UPDATE {table} SET {column} = '2020-01-01 00:00:00.000000'")
            connection.commit()
        return
    name = site.environ["DATABASE_URL"].rpartition("/")[2].partition("?")[0]
    for table, column in columns.items():
        statement = f"UPDATE {table} SET {column} = {column} - interval '1 minute'"
        request.getfixturevalue("postgres").execute(statement, database=name)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
async def test_a_mail_whose_drain_is_killed(database: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    url = (
        "sqlite:///./test.db" if database == "sqlite" else f"{request.getfixturevalue('postgres_url')}?sslmode=disable"
    )
    project = write_project(tmp_path / "project")
    app = shutil.copytree(ROOT / "tests/services/mail_app", project / "mail_app")
    shutil.rmtree(app / "__pycache__", ignore_errors=True)
    (project / "main.py").write_text('from fastopp import FastOpp\n\napp = FastOpp(apps=["mail_app"])\n')
    reached, over = asyncio.Event(), asyncio.Event()
    async with AsyncPlatform() as platform, mail_server() as server:

        async def hold() -> None:
            if not reached.is_set():
                reached.set()
                await over.wait()

        server.before_answer = hold
        environ = PRODUCTION | {
            "DATABASE_URL": url,
            "OPS_TOKEN": OPS_TOKEN,
            "ALLOWED_HOSTS": "127.0.0.1",
            "FASTOPP_PLATFORM": "leapcell",
            "LEAPCELL_ASYNC_URL": platform.url,
            "MAIL_URL": server.url(),
            "MAIL_FROM": "shop@example.com",
            "SITE_URL": "https://shop.example.com",
        }
        site = Site(project, environ)
        with ExitStack() as cleanup:
            cleanup.callback(over.set)
            await asyncio.to_thread(site.start)
            cleanup.callback(site.kill)
            async with httpx.AsyncClient(base_url=site.url, timeout=90) as outside:
                migrated = await outside.post("/async/migrate", headers=BEARER)
                assert migrated.status_code == 200, migrated.text
                platform.taken.clear()
                assert (await outside.post("/orders?to=jo@example.com", headers=BEARER)).status_code == 200
                (wake,) = platform.taken
                first = asyncio.create_task(wake.deliver(outside))
                await reached.wait()
                site.kill()
                assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], httpx.TransportError)
                await asyncio.to_thread(site.start)
                again = asyncio.create_task(wake.deliver(outside))  # a second later, as platforms do
                await asyncio.sleep(0.3)
                assert not again.done(), again.result().text  # the first one may be alive
                assert server.taken == []
                await asyncio.to_thread(a_minute_passes, site, request)
                done = await again
                assert (done.status_code, done.json()["details"]["failed"]) == (200, 0), done.text
                assert [mail["to"] for mail in server.taken] == ["jo@example.com"]
                assert (await wake.deliver(outside)).json()["status"] == "ignored"
