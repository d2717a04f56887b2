"""The Oppman and Oppdemo pages and what their forms do, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
import textwrap

import pytest

from fastopp.features.accounts.models import AuditLog, User
from tests.gate import each_database, only_full
from tests.services.databases import url_on
from tests.services.ops_project import BEARER, BROWSER, HTMX, initialised, running

SEED = """
    from fastopp.core.apps import SeedStep, StepResult

    async def add(session, storage, settings):
        await storage.put("photos/a.jpg", b"x", content_type="image/jpeg")
        return StepResult("success", "The shelves are full.")

    async def empty(session, storage, settings):
        await storage.delete("photos/a.jpg")
        return StepResult("success", "The shelves are empty.")

    STEPS = [SeedStep("shelves", "Shelves", add), SeedStep("clear_shelves", "Clear Shelves", empty, destructive=True)]
"""


url = url_on("sqlite", *only_full("psycopg"))
initialised_url = url_on("sqlite", *only_full("psycopg"), fill=initialised)


@pytest.fixture
async def project(initialised_url, tmp_path):
    async with running(initialised_url, tmp_path) as project:
        yield project


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
def shelves(tmp_path, monkeypatch):
    """The name of an app with a step of its own."""
    name = f"shelves_{tmp_path.name}".replace("-", "_")
    folder = tmp_path / "project" / name
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "seed.py").write_text(textwrap.dedent(SEED))
    monkeypatch.syspath_prepend(folder.parent)
    return name


async def user_named(project, email) -> User:
    return next(user for user in await project.all(User) if user.email == email)


async def test_everything_here_is_for_superusers(project):
    paths = ["/oppman/", "/oppman/users", "/oppman/migrations", "/oppdemo/", "/oppdemo/check-users"]
    async with project.client() as client:
        for path in paths:
            assert (await client.get(path)).status_code == 401
            answer = await client.get(path, headers=BROWSER)
            assert answer.status_code == 303
            assert answer.headers["location"] == f"/login?next={path}"
        for path in ("/oppman/change-password", "/oppman/migrate", "/oppman/users", "/oppdemo/init"):
            assert (await client.post(path)).status_code == 401
    async with project.signed_in("staff@example.com", "test123") as client:
        for path in paths:
            assert (await client.get(path)).status_code == 403
        assert (await client.post("/oppman/migrate", data={"command": "upgrade"})).status_code == 403


async def test_the_pages_show_what_there_is(project):
    async with project.signed_in() as client:
        oppman = await client.get("/oppman/", headers=BROWSER)
        assert oppman.status_code == 200
        assert "jane@example.com" in oppman.text
        assert "$argon2" not in oppman.text
        oppdemo = await client.get("/oppdemo/", headers=BROWSER)
        assert oppdemo.status_code == 200
        assert "Superuser Creation" in oppdemo.text
        listed = (await client.get("/oppman/users")).json()["users"]
        assert len(listed) == 8
        kept = {"name", "email_unconfirmed_since", "time_zone", "language"}
        assert set(listed[0]) == {"id", "email", "is_active", "is_superuser", "is_staff", "group"} | kept
        rows = await client.get("/oppman/users", headers=HTMX)
        assert rows.text.count("<tr") == 8
        report = await client.post("/oppman/user-management", data={"command": "list_users"})
        assert report.json()["success"]
        assert "bob@example.com" in report.json()["stdout"]
        assert (await client.post("/oppman/user-management", data={"command": "rm -rf"})).status_code == 422
        checked = (await client.get("/oppdemo/test-auth")).json()
        assert checked == {"success": True, "message": checked["message"], "stdout": checked["stdout"]}


async def test_accounts_are_created_changed_and_recorded(project):
    async with project.signed_in() as client:
        form = {"email": "new@example.com", "password": "long enough", "role": "staff", "group": "sales"}
        created = await client.post("/oppman/users", data=form)
        assert created.status_code == 200, created.text
        assert created.json()["user"]["is_staff"]
        assert (await client.post("/oppman/users", data=form | {"email": "NEW@example.com"})).status_code == 409
        assert (await client.post("/oppman/users", data=form | {"email": "no address"})).status_code == 422
        assert (await client.post("/oppman/users", data=form | {"email": "x@example.com", "password": "short"})
                ).status_code == 422  # fmt: skip
        assert (await client.post("/oppman/users", data=form | {"email": "x\0@example.com"})).status_code == 422
        assert (await client.post("/oppman/users", data=form | {"role": "king"})).status_code == 422

        new = await user_named(project, "new@example.com")
        changed = await client.post(f"/oppman/users/{new.id}", data={"role": "superuser"})
        assert changed.json()["user"]["is_superuser"]
        changed = await client.post(f"/oppman/users/{new.id}", data={"active": "false", "group": "none"})
        assert changed.json()["user"] | {"is_active": False, "group": None} == changed.json()["user"]
        assert (await client.post(f"/oppman/users/{new.id}", data={"active": "perhaps"})).status_code == 422
        nobody = "00000000-0000-0000-0000-000000000000"
        assert (await client.post(f"/oppman/users/{nobody}", data={"active": "true"})).status_code == 404
        assert (await client.post("/oppman/users/nonsense", data={"active": "true"})).status_code == 422
    log = sorted(await project.all(AuditLog), key=lambda entry: entry.timestamp)
    assert log.pop(0).action == "sign in"
    assert [entry.action for entry in log] == ["create", "update", "update"]
    assert {entry.record_id for entry in log} == {str(new.id)}
    assert "long enough" not in "".join(entry.changes or "" for entry in log)


async def test_nobody_locks_everybody_out(project):
    async with project.signed_in() as client:
        own, other = await user_named(project, "admin@example.com"), await user_named(project, "admin2@example.com")
        refused = await client.post(f"/oppman/users/{own.id}", data={"role": "staff"})
        assert refused.status_code == 409
        assert refused.json()["success"] is False
        assert (await client.post(f"/oppman/users/{own.id}", data={"active": "false"})).status_code == 409
        assert (await client.post(f"/oppman/users/{own.id}", data={"group": "sales"})).status_code == 200
        assert (await client.post(f"/oppman/users/{other.id}", data={"role": "user"})).status_code == 200


@each_database
async def test_two_superusers_cannot_demote_each_other_at_once(project):
    own, other = await user_named(project, "admin@example.com"), await user_named(project, "admin2@example.com")
    async with project.signed_in() as one, project.signed_in("admin2@example.com", "test123") as two:
        answers = await asyncio.gather(
            one.post(f"/oppman/users/{other.id}", data={"role": "user"}),
            two.post(f"/oppman/users/{own.id}", data={"role": "user"}),
        )
    assert min(answer.status_code for answer in answers) == 200
    assert any(user.is_superuser and user.is_active for user in await project.all(User))


async def test_passwords_are_changed_with_true_answers(project):
    async with project.signed_in() as client:
        form = {"email": "jane@example.com", "new_password": "a new password"}
        done = await client.post("/oppman/change-password", data=form)
        assert done.json()["success"] is True
        short = await client.post("/oppman/change-password", data=form | {"new_password": "12345"})
        assert short.status_code == 422
        assert short.json()["success"] is False
        assert short.headers["content-type"] == "application/problem+json"
        assert short.json()["detail"] == short.json()["message"]
        unknown = await client.post("/oppman/change-password", data=form | {"email": "who@example.com"})
        assert (unknown.status_code, unknown.json()["success"]) == (404, False)
        inactive = await client.post("/oppman/change-password", data=form | {"email": "bob@example.com"})
        assert (inactive.status_code, inactive.json()["success"]) == (409, False)
        assert (await client.post("/oppman/change-password", data={})).status_code == 422
        fragment = await client.post(
            "/oppman/change-password", data=form | {"email": "<b>@x"}, headers={**HTMX, "HX-Target": "password-result"}
        )
        assert fragment.status_code == 404
        assert fragment.headers["hx-retarget"] == "#password-result"
        assert "<b>@x" not in fragment.text
        page = await client.post("/oppman/change-password", data=form, headers=BROWSER)
        assert "<html" in page.text
        assert "was changed" in page.text
    async with project.signed_in("jane@example.com", "a new password"):
        pass


async def test_an_unsafe_request_needs_the_forms_token(project):
    async with project.signed_in() as client:
        del client.headers["X-CSRF-Token"]
        form = {"email": "jane@example.com", "new_password": "a new password"}
        assert (await client.post("/oppman/change-password", data=form)).status_code == 403


async def test_migrations_are_listed_previewed_and_run(url, tmp_path):
    async with running(url, tmp_path) as project:
        async with project.client() as client:
            await client.post("/async/init-demo", headers=BEARER)
        async with project.signed_in() as client:
            states = (await client.get("/oppman/migrations")).json()["migrations"]
            assert all(state["applied"] for state in states)
            assert "up to date" in (await client.get("/oppman/migrations", headers=HTMX)).text
            head = states[-1]["revision"]
            sql = (await client.get("/oppman/migrations/0012/sql")).json()["sql"]
            assert "CREATE TABLE external_identities" in sql
            assert (await client.get("/oppman/migrations/nonsense/sql")).status_code == 404

            def run(**form):
                return client.post("/oppman/migrate", data=form)

            for command in ("current", "upgrade", "history", "showmigrations", "show", "sqlmigrate"):
                answer = await run(command=command)
                assert answer.status_code == 200, answer.text
                assert set(answer.json()) == {"success", "message", "stdout", "stderr", "command"}
            assert (await run(command="upgrade", revision="nonsense")).status_code == 404
            assert (await run(command="rm")).status_code == 422
            assert (await run(command="create")).status_code == 400
            unconfirmed = await run(command="downgrade", revision=states[-2]["revision"])
            assert unconfirmed.status_code == 400
            assert unconfirmed.json()["stderr"]

            lossy = await run(command="downgrade", revision="0007", confirm="0007")
            assert lossy.status_code == 409  # this session would be lost
            back = states[-2]["revision"]
            down = await run(command="downgrade", revision=back, confirm=back)
            assert down.status_code == 200, down.text
            pending = (await client.get("/oppman/migrations")).json()["migrations"]
            assert [state["applied"] for state in pending] == [True] * (len(states) - 1) + [False]
            up = await client.post("/oppman/migrate", data={"command": "upgrade"}, headers=HTMX)
            assert up.headers["hx-trigger"] == "migrations-changed"
            assert head in up.text
        actions = [entry.action for entry in await project.all(AuditLog)]
        assert sorted(actions) == ["migrate downgrade", "migrate upgrade", "migrate upgrade", "sign in"]


async def test_everything_in_one_request_for_programs_and_without_javascript(sqlite_url, tmp_path, shelves):
    async with (
        running(sqlite_url, tmp_path, apps=["demo.users", shelves]) as project,
        project.client(headers=BEARER) as client,
    ):
        report = (await client.post("/oppdemo/init")).json()
        assert report["success"] is True
        assert [set(result) for result in report["results"]] == [{"step", "status", "message"}] * 5
        assert "Shelves" in (await client.post("/oppdemo/init", headers=BROWSER)).text


async def test_steps_run_by_name_and_unknown_ones_are_not_there(sqlite_url, tmp_path, shelves):
    async with (
        running(sqlite_url, tmp_path, apps=["demo.users", shelves]) as project,
        project.client(headers=BEARER) as client,
    ):
        failed = await client.post("/oppdemo/users")
        assert failed.status_code == 500
        assert failed.json()["success"] is False
        for name in ("db", "superuser", "users", "shelves", "clear-shelves", "clear_shelves"):
            answer = await client.post(f"/oppdemo/{name}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["success"] is True
        unknown = await client.post("/oppdemo/nonsense")
        assert (unknown.status_code, unknown.json()["success"]) == (404, False)


async def test_the_storage_tests_itself(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path) as project, project.client(headers=BEARER) as client:
        answer = (await client.post("/oppdemo/debug-storage")).json()
        assert answer["success"] is True
        info = answer["debug_info"]
        assert set(info) == {"environment", "storage_type", "sample_photos", "test_operations"}
        assert set(info["environment"]) == {"STORAGE_TYPE", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET", "S3_CDN_URL"}
        assert {name for name, result in info["test_operations"].items() if result["success"]} == {
            "save", "exists", "read", "cleanup",
        }  # fmt: skip
        assert not [path for path in (tmp_path / "uploads").rglob("*") if path.is_file()]

    (tmp_path / "uploads").rename(tmp_path / "moved")
    (tmp_path / "uploads").touch()  # a file where the folder should be
    async with running(sqlite_url, tmp_path) as project, project.client(headers=BEARER) as client:
        answer = await client.post("/oppdemo/debug-storage")
        assert answer.status_code == 503
        assert answer.json()["success"] is False
        assert "error" in answer.json()["debug_info"]["test_operations"]
