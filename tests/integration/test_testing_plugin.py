"""The fixtures for users' tests, with the demo as the project. tests/e2e/test_own_tests.py runs asynchronous tests."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import httpx
import psycopg
import pytest

from demo.products.models import Product
from fastopp.console.main_file import list_apps
from fastopp.database.session import Database
from fastopp.features.accounts.models import User
from fastopp.features.accounts.service import AccountMissing
from fastopp.features.mail.service import open_mail
from fastopp.settings import load_settings
from fastopp.storage.base import Storage
from fastopp.testing import ClientAs, ManualClock, MemoryStorage, Outbox, Project, Run, plugin
from fastopp.testing.databases import Template, open_template
from tests.services.migrations import ROOT
from tests.services.postgres import PASSWORD, USER, Postgres

LONGEST_COPY = 0.02  # seconds


@pytest.mark.parametrize("run_number", [1, 2])
def test_each_test_has_an_empty_database(project: Project, run: Run, run_number: int) -> None:
    run(project.add(Product(name="Lamp", price=10)))
    assert [product.name for product in run(project.all(Product))] == ["Lamp"]


def test_copying_takes_milliseconds(database_template: Template, tmp_path: Path) -> None:
    taken = []
    for _ in range(5):
        started = time.process_time()
        with database_template(tmp_path):
            taken.append(time.process_time() - started)
    assert min(taken) < LONGEST_COPY


@pytest.mark.parametrize(
    ("who", "protected", "management"),
    [("superuser", 200, 200), ("staff", 200, 403), ("marketing", 200, 403), ("user", 403, 403)],
)
def test_a_browser_is_signed_in_by_role(client_as: ClientAs, who: str, protected: int, management: int) -> None:
    browser = client_as(who)
    assert [browser.get(page).status_code for page in ("/protected", "/oppman/")] == [protected, management]


def test_a_browser_is_not_signed_in(client: httpx.Client) -> None:
    assert client.get("/protected").status_code == 401
    assert client.post("/async/drain").status_code == 401, "a caller on this machine would be an operator"


def test_a_browser_is_signed_in_by_account_and_by_email(client_as: ClientAs, project: Project, run: Run) -> None:
    ann = User(email="ann@example.com", hashed_password="!", is_staff=True)
    assert client_as(ann).get("/protected").status_code == 200
    assert client_as("ann@example.com").get("/protected").status_code == 200
    assert len(run(project.all(User))) == 1
    with pytest.raises(AccountMissing):
        client_as("ben@example.com")


def test_forms_can_be_sent_and_sessions_are_real(client_as: ClientAs) -> None:
    browser = client_as("superuser")
    assert browser.post("/database-demo/sample-data").status_code == 303
    del browser.headers["X-CSRF-Token"]
    assert browser.post("/database-demo/sample-data").status_code == 403
    browser.get("/logout")
    assert browser.get("/protected").status_code == 401


def test_an_asynchronous_test_has_to_await(project: Project, run: Run) -> None:
    async def asynchronous_test() -> None:
        with pytest.raises(RuntimeError, match="awaits"):
            run(project.all(User))

    run(asynchronous_test())


def test_time_is_moved(client_as: ClientAs, clock: ManualClock) -> None:
    browser = client_as("staff")
    clock.advance(29 * 60)
    assert browser.get("/protected").status_code == 200
    clock.advance(2 * 60)
    assert browser.get("/protected").status_code == 401


@pytest.mark.settings(ACCESS_TOKEN_EXPIRE_MINUTES="7", SUPERUSER_EMAIL="mark@example.com")
class TestSettings:
    @pytest.fixture
    def environ(self) -> Mapping[str, str]:
        return {"SUPERUSER_EMAIL": "environ@example.com", "PORT": "8123"}

    @pytest.mark.settings(ACCESS_TOKEN_EXPIRE_MINUTES="9")
    def test_the_closest_marker_wins(self, project: Project) -> None:
        assert project.settings.access_token_expire_minutes == 9
        assert project.settings.superuser_email == "mark@example.com"
        assert project.settings.port == 8123

    def test_nothing_of_the_machine_is_read(self, monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
        assert project.settings.access_token_expire_minutes == 7


def test_files_are_in_memory_and_served(client: httpx.Client, project: Project, storage: Storage, run: Run) -> None:
    key = "photos/0123456789abcdef0123456789abcdef.png"
    run(storage.put(key, b"data", content_type="image/png"))
    assert project.storage is storage
    assert isinstance(storage, MemoryStorage)
    assert client.get(storage.url(key)).content == b"data"


def test_tasks_run_when_they_are_drained(project: Project, run: Run) -> None:
    run(project.tasks.queue("clean-up"))
    (job,) = run(project.drain())
    assert (job.name, job.status) == ("clean-up", "succeeded")
    assert run(project.drain()) == []


def test_answers_keep_their_form(client: httpx.Client) -> None:
    compressed = client.get("/static/app.css", headers={"Accept-Encoding": "gzip, br"})
    assert compressed.status_code == 200
    assert "{" in compressed.text
    assert client.get("/login", headers={"Accept": "text/html"}).headers["content-type"].startswith("text/html")


async def names(url: str) -> list[str]:
    database = Database.from_settings(load_settings({"DATABASE_URL": url}, env_file=Path("no.env")))
    try:
        async with database.transaction() as session:
            session.add(Product(name="Lamp", price=1))
            await session.flush()
            connection = await session.connection()
            return [row.name for row in await connection.exec_driver_sql("SELECT name FROM products")]
    finally:
        await database.dispose()


def test_copies_on_postgresql(postgres: Postgres, tmp_path: Path) -> None:
    import asyncio

    owner = f"copies_{os.getpid()}"

    def databases() -> int:
        counted = f"SELECT count(*) FROM pg_database WHERE datdba = '{owner}'::regrole"
        with psycopg.connect(host=postgres.socket_folder, user="postgres", dbname="postgres") as connection:
            return int(connection.execute(counted).fetchone()[0])  # type: ignore[index]

    postgres.execute(f"CREATE ROLE {owner} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    url = postgres.url().replace(f"{USER}:", f"{owner}:", 1)
    with open_template(url, list_apps(ROOT / "main.py"), ROOT / "alembic", tmp_path) as template:
        for _ in range(2):
            with template(tmp_path) as copy:
                assert asyncio.run(names(copy)) == ["Lamp"]
                assert databases() == 2
    assert databases() == 0
    postgres.execute(f"DROP ROLE {owner}")


def test_mails_are_caught(project: Project, run: Run, outbox: Outbox) -> None:
    assert list(outbox()) == []
    run(open_mail(project.runtime).send("mail/test", "jo@example.com"))
    [mail] = outbox()
    assert (mail.recipient, mail.state) == ("jo@example.com", "queued")
    run(project.drain())
    [mail] = outbox()
    assert (mail.subject, mail.state) == ("Test mail from FastOpp", "sent")
    assert "They work." in (mail.text or "")


def test_apps_that_were_moved_away_are_not_tested(tmp_path: Path) -> None:
    (tmp_path / "backups").mkdir()
    assert plugin.pytest_ignore_collect(tmp_path / "backups") is None, "a folder of someone else's"
    (tmp_path / "oppman.py").write_text("")
    assert plugin.pytest_ignore_collect(tmp_path / "backups") is True
    assert plugin.pytest_ignore_collect(tmp_path / "shop") is None
