"""Initialising a project: on both databases, twice, twice at once, and interrupted."""

from __future__ import annotations

import asyncio
import os
import textwrap
from pathlib import Path

import pytest
from sqlmodel import select

from fastopp.core.apps import find_apps
from fastopp.core.runtime import open_runtime
from fastopp.database.migrations import migrate
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import verify_password
from fastopp.features.setup.seeding import UnknownStep, init_steps, run_full_init, run_step
from tests.gate import each_database, only_full
from tests.services import forks
from tests.services.databases import url_on
from tests.services.ops_project import PRODUCTION, settings_of

SEED = """
    import asyncio
    from fastopp.core.apps import SeedStep, StepResult
    from fastopp.features.accounts.models import User

    async def add(session, storage, settings):
        session.add(User(email="added@example.com", hashed_password="x"))
        await session.flush()
        return StepResult("success", "One was added.")

    async def fail(session, storage, settings):
        session.add(User(email="lost@example.com", hashed_password="x"))
        await session.flush()
        return StepResult("error", "It cannot be done.")

    async def crash(session, storage, settings):
        session.add(User(email="added@example.com", hashed_password="secret-in-a-driver-message"))
        return StepResult("success", "never")

    async def delete(session, storage, settings):
        raise AssertionError("an init deletes nothing")

    STEPS = [
        SeedStep("add", "Add", add),
        SeedStep("fail", "Fail", fail),
        SeedStep("crash", "Crash", crash),
        SeedStep("delete", "Delete", delete, destructive=True),
    ]
"""

HANGING_SEED = """
    import asyncio
    from fastopp.core.apps import SeedStep, StepResult
    from fastopp.features.accounts.models import User
    from pathlib import Path

    async def add(session, storage, settings):
        for number in range(5):
            session.add(User(email=f"row{number}@example.com", hashed_password="x"))
        await session.flush()
        marker = Path(__file__).with_name("reached")
        if not marker.exists():
            marker.touch()
            await asyncio.sleep(600)
        return StepResult("success", "All were added.")

    STEPS = [SeedStep("add", "Add", add)]
"""


USERS = find_apps(["demo.users"])

url = url_on("sqlite", *only_full("psycopg", "asyncpg"))


@pytest.fixture
def make_app(tmp_path, monkeypatch):
    """Write an app with only a seed.py, and find it."""

    def write(name: str, seed: str):
        folder = tmp_path / "project" / name
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        (folder / "seed.py").write_text(textwrap.dedent(seed))
        monkeypatch.syspath_prepend(folder.parent)
        return find_apps([name])

    return write


async def users(runtime) -> dict[str, User]:
    async with runtime.database.read() as session:
        return {user.email: user for user in (await session.exec(select(User))).all()}


async def test_a_second_init_changes_nothing(url, tmp_path):
    async with open_runtime(settings_of(url, tmp_path), USERS) as runtime:
        seen = []
        first = await run_full_init(runtime, progress=seen.append)
        assert (first.success, first.generated_password) == (True, None)
        assert [(each.name, each.status) for each in first.results] == [
            ("db", "success"), ("superuser", "success"), ("users", "success"), ("leftovers", "skipped"),
        ]  # fmt: skip
        assert [each.status for each in seen] == ["running", "success"] * 3 + ["running", "skipped"]
        before = await users(runtime)
        assert len(before) == 8
        admin = before["admin@example.com"]
        assert (await verify_password("admin123", admin.hashed_password)).matches
        assert not (await verify_password("test123", admin.hashed_password)).matches
        assert (await verify_password("test123", before["jane@example.com"].hashed_password)).matches
        assert not before["bob@example.com"].is_active

        second = await run_full_init(runtime)
        assert [each.status for each in second.results] == ["success", "skipped", "skipped", "skipped"]
        assert {email: user.id for email, user in (await users(runtime)).items()} == {
            email: user.id for email, user in before.items()
        }


@each_database
async def test_several_inits_at_once_give_the_rows_of_one(url, tmp_path):
    settings = settings_of(url, tmp_path)

    async def init():
        async with open_runtime(settings, USERS) as runtime:
            return await run_full_init(runtime)

    reports = await asyncio.gather(*(init() for _ in range(4)))
    assert all(report.success for report in reports), reports
    superusers = [report.results[1].status for report in reports]
    assert sorted(superusers) == ["skipped"] * 3 + ["success"]
    async with open_runtime(settings, USERS) as runtime:
        assert len(await users(runtime)) == 8


async def test_outside_development_passwords_are_generated_and_shown_once(url, tmp_path):
    environ = PRODUCTION | {"SUPERUSER_EMAIL": "Owner@Example.com"}
    async with open_runtime(settings_of(url, tmp_path, environ), USERS) as runtime:
        report = await run_full_init(runtime)
        assert report.success
        password = report.generated_password
        assert password
        assert len(password) >= 20
        assert password not in repr(report)
        assert report.results[2].status == "skipped"
        (owner,) = (await users(runtime)).values()
        assert owner.email == "Owner@example.com"
        assert (await verify_password(password, owner.hashed_password)).matches
        assert (await run_full_init(runtime)).generated_password is None


async def test_one_steps_failure_keeps_nothing_of_it_and_stops_no_other(url, tmp_path, make_app):
    apps = make_app(f"seeded_{tmp_path.name}".replace("-", "_"), SEED)
    async with open_runtime(settings_of(url, tmp_path), (*USERS, *apps)) as runtime:
        report = await run_full_init(runtime)
        assert not report.success
        assert [(each.name, each.status) for each in report.results[3:]] == [
            ("add", "success"), ("fail", "error"), ("crash", "error"), ("leftovers", "skipped"),
        ]  # fmt: skip
        assert report.results[4].message == "It cannot be done."
        assert "secret" not in str(report)
        there = await users(runtime)
        assert "added@example.com" in there
        assert "lost@example.com" not in there


@each_database
async def test_an_interrupted_step_leaves_nothing_and_can_be_repeated(url, tmp_path, make_app):
    name = f"hanging_{tmp_path.name}".replace("-", "_")
    apps = make_app(name, HANGING_SEED)
    settings = settings_of(url, tmp_path)
    await migrate.upgrade(settings)
    program = (
        "import asyncio, sys; from pathlib import Path; from fastopp.core.apps import find_apps;"
        "from fastopp.core.runtime import open_runtime; from fastopp.features.setup.seeding import run_step;"
        "from tests.services.ops_project import settings_of\n"
        "async def main():\n"
        "    settings, apps = settings_of(sys.argv[1], Path(sys.argv[2])), find_apps([sys.argv[3]])\n"
        "    async with open_runtime(settings, apps) as runtime:\n"
        "        await run_step(runtime, 'add')\n"
        "asyncio.run(main())"
    )
    paths = os.pathsep.join([str(Path.cwd()), str(tmp_path / "project")])
    child = forks.Program(["-c", program, url, tmp_path, name], env={**os.environ, "PYTHONPATH": paths})
    try:
        while not (tmp_path / "project" / name / "reached").exists():
            assert child.poll() is None
            await asyncio.sleep(0.02)
    finally:
        child.kill()
        child.wait()
    async with open_runtime(settings, apps) as runtime:
        assert await users(runtime) == {}
        assert (await run_step(runtime, "add")).status == "success"
        assert len(await users(runtime)) == 5


@each_database
async def test_a_step_without_tables_says_so_without_the_drivers_words(url, tmp_path):
    async with open_runtime(settings_of(url, tmp_path), USERS) as runtime:
        outcome = await run_step(runtime, "users")
        assert outcome.status == "error"
        assert "SELECT" not in outcome.message
        assert "no tables" in outcome.message


async def test_unknown_steps_are_refused(tmp_path):
    async with open_runtime(settings_of(f"sqlite:///{tmp_path}/test.db", tmp_path), USERS) as runtime:
        with pytest.raises(UnknownStep, match="db, superuser, users"):
            await run_step(runtime, "nonsense")
        assert [step.name for step in init_steps(runtime)] == ["db", "superuser", "users", "leftovers"]


async def test_without_a_database_nothing_after_the_first_step_is_tried(tmp_path):
    url = "postgresql://nobody@127.0.0.1:1/nothing"
    async with open_runtime(settings_of(url, tmp_path), USERS) as runtime:
        report = await run_full_init(runtime)
        assert not report.success
        assert [each.name for each in report.results] == ["db"]
