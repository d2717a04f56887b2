"""Emergency access over HTTP: the first run without a shell, and everything that must not work."""

from __future__ import annotations

from sqlalchemy import text

from fastopp.features.accounts.models import AuditLog, User
from fastopp.features.accounts.service import get_user
from fastopp.features.emergency import grants as emergency
from fastopp.features.emergency.grants import emergency_token
from fastopp.features.emergency.routes import drop_tables
from fastopp.features.second_factor.models import RecoveryCode, SecondFactor
from fastopp.testing import ManualClock
from tests.gate import each_database, only_full
from tests.services.databases import url_on
from tests.services.ops_project import BEARER, BROWSER, HTMX, PRODUCTION, running, use_form_token

ENABLED = PRODUCTION | {"EMERGENCY_ACCESS_ENABLED": "true"}
HOME = "/oppman/emergency"


url = url_on("sqlite", *only_full("psycopg"))


async def enter(project, client) -> None:
    token = emergency_token(project.runtime.settings)
    answer = await client.post(f"{HOME}/verify", data={"token": token})
    assert answer.json() == {"success": True, "message": answer.json()["message"], "redirect_url": "/oppman/"}
    await use_form_token(client, f"{HOME}/dashboard")


async def test_a_first_run_without_a_shell(url, tmp_path):
    async with running(url, tmp_path, ENABLED) as project, project.client() as client:
        await use_form_token(client, HOME)
        closed = await client.get(f"{HOME}/dashboard", headers=BROWSER)
        assert (closed.status_code, closed.headers["location"]) == (302, HOME)
        await enter(project, client)
        dashboard = await client.get(f"{HOME}/dashboard", headers=BROWSER)
        assert "Migrations are pending" in dashboard.text
        migrated = await client.post(f"{HOME}/migrate")
        assert migrated.status_code == 200, migrated.text
        form = {"email": "owner@example.com", "password": "the owner's password"}
        created = await client.post(f"{HOME}/create-superuser", data=form)
        assert created.json()["success"], created.text
        assert (await client.post(f"{HOME}/create-superuser", data=form)).status_code == 409
        state = await client.get(f"{HOME}/state", headers=HTMX)
        assert "owner@example.com" in state.text

        (owner,) = await project.all(User)
        assert (owner.is_superuser, owner.is_staff, owner.is_active, owner.group) == (True, True, True, "admin")
        assert [entry.action for entry in await project.all(AuditLog)] == ["emergency create"]
        # It opens nothing else.
        assert (await client.get("/oppman/")).status_code == 401
        async with project.signed_in("owner@example.com", "the owner's password") as signed_in:
            assert (await signed_in.get("/oppman/")).status_code == 200


async def test_a_superuser_is_made_in_a_database_without_tables(url, tmp_path):
    async with running(url, tmp_path, ENABLED) as project, project.client() as client:
        await enter(project, client)
        bad = await client.post(f"{HOME}/create-superuser", data={"email": "no address", "password": "long enough"})
        assert (bad.status_code, bad.json()["success"]) == (422, False)
        form = {"email": "owner@example.com", "password": "the owner's password"}
        assert (await client.post(f"{HOME}/create-superuser", data=form)).json()["success"]


async def test_passwords_are_reset(url, tmp_path):
    async with running(url, tmp_path, ENABLED) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        await enter(project, client)
        form = {"email": "admin@example.com", "new_password": "another password"}
        answer = await client.post(f"{HOME}/reset-password", data=form)
        assert answer.json()["success"]
        unknown = await client.post(f"{HOME}/reset-password", data=form | {"email": "who@example.com"})
        assert (unknown.status_code, unknown.json()["success"]) == (404, False)
        short = await client.post(f"{HOME}/reset-password", data=form | {"new_password": "x"}, headers=HTMX)
        assert short.status_code == 422
        assert "too short" in short.text
        for weak in ("123456", "12345678", "password1", "admin2026!", "aaaaaaaaaa"):
            guessed = await client.post(f"{HOME}/reset-password", data=form | {"new_password": weak})
            assert (guessed.status_code, guessed.json()["success"]) == (422, False), weak
            created = {"email": "second@example.com", "password": weak}
            assert (await client.post(f"{HOME}/create-superuser", data=created)).status_code == 422, weak
        async with project.signed_in("admin@example.com", "another password"):
            pass


@each_database
async def test_a_lost_second_factor_is_reset(url, tmp_path):
    """The only superuser has lost phone and recovery codes, and there is no shell."""
    password = "seventeen green teapots"
    environ = ENABLED | {"SUPERUSER_PASSWORD": password}
    async with running(url, tmp_path, environ) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        async with project.runtime.database.transaction() as session:
            user = await get_user(session, "admin@example.com")
            session.add(SecondFactor(user_id=user.id, secret="lost", last_step=0))
            session.add(RecoveryCode(user_id=user.id, digest="lost"))
        form = {"username": "admin@example.com", "password": password}
        async with project.client() as browser:
            assert (await browser.post("/login", data=form)).headers["location"] == "/login/second-factor"
        await use_form_token(client, HOME)
        closed = await client.post(f"{HOME}/reset-factor", data={"email": "admin@example.com"})
        assert closed.status_code == 403
        await enter(project, client)
        unknown = await client.post(f"{HOME}/reset-factor", data={"email": "who@example.com"})
        assert (unknown.status_code, unknown.json()["success"]) == (404, False)
        answer = await client.post(f"{HOME}/reset-factor", data={"email": "Admin@example.com"})
        assert answer.json()["success"], answer.text
        assert await project.all(SecondFactor) == []
        assert await project.all(RecoveryCode) == []
        assert (await client.get(f"{HOME}/state", headers=HTMX)).status_code == 200, "emergency access goes on"
        assert {"emergency factors", "reset factors"} <= {entry.action for entry in await project.all(AuditLog)}
        async with project.signed_in("admin@example.com", password):
            pass


@each_database
async def test_dropping_takes_our_tables_and_nothing_else(url, tmp_path):
    async with running(url, tmp_path, ENABLED) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        async with project.runtime.database.transaction() as session:
            await (await session.connection()).execute(text("CREATE TABLE somebody_elses (id INTEGER)"))
        await enter(project, client)
        for confirm in ("", "drop", "yes"):
            refused = await client.post(f"{HOME}/drop-tables", data={"confirm": confirm})
            assert (refused.status_code, refused.json()["success"]) == (400, False)
        done = await client.post(f"{HOME}/drop-tables", data={"confirm": "DROP"})
        assert done.status_code == 200, done.text
        assert {"users", "audit_logs", "alembic_version"} <= set(done.json()["tables"])
        left = (await client.get("/debug/database-data", headers=BEARER)).json()["tables_found"]
        assert "somebody_elses" in left
        assert not {"users", "audit_logs", "alembic_version"} & set(left)
        again = (await client.post("/async/init-demo", headers=BEARER)).json()
        assert again["status"] == "success", again


async def test_without_a_grant_nothing_happens(tmp_path):
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, ENABLED) as project, project.client() as client:
        form = {"email": "a@example.com", "password": "long enough", "new_password": "long enough", "confirm": "DROP"}
        for action in ("migrate", "create-superuser", "reset-password", "drop-tables"):
            assert (await client.post(f"{HOME}/{action}", data=form)).status_code == 403
        assert (await client.get(f"{HOME}/state")).status_code == 403


async def test_the_signing_key_is_no_token_and_guesses_are_few(tmp_path):
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, ENABLED) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        answers = [
            (await client.post(f"{HOME}/verify", data={"token": ENABLED["SECRET_KEY"]})).status_code for _ in range(8)
        ]
        assert answers[0] == 403
        assert answers[-1] == 429
        assert (await client.post(f"{HOME}/verify", data={"token": "x" * 1000})).status_code == 422


async def test_it_ends_by_itself_and_on_request(tmp_path):
    url, clock = f"sqlite:///{tmp_path}/test.db", ManualClock()
    async with running(url, tmp_path, ENABLED, clock=clock) as project, project.client() as client:
        await enter(project, client)
        assert (await client.post(f"{HOME}/migrate")).status_code == 200
        clock.advance(emergency.LIFETIME - 1)
        assert (await client.post(f"{HOME}/migrate")).status_code == 200
        clock.advance(1)
        assert (await client.post(f"{HOME}/migrate")).status_code == 403
        await enter(project, client)
        assert (await client.post(f"{HOME}/migrate")).status_code == 200
        closed = await client.post(f"{HOME}/logout", headers=HTMX)
        assert closed.headers["hx-redirect"] == "/login"
        assert (await client.post(f"{HOME}/migrate")).status_code == 403


async def test_disabled_it_looks_like_any_unknown_address(tmp_path):
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, PRODUCTION) as project, project.client() as client:
        unknown = await client.post("/nothing/here")
        for method, path in [("GET", ""), ("POST", "/verify"), ("GET", "/verify"), ("POST", "/drop-tables")]:
            answer = await client.request(method, HOME + path)
            assert (answer.status_code, answer.json()["detail"]) == (404, unknown.json()["detail"])


async def test_who_was_signed_in_when_the_tables_went_is_nobody(url, tmp_path):
    async with running(url, tmp_path, ENABLED | {"ENVIRONMENT": "development"}) as project:
        async with project.client() as client:
            await client.post("/async/init-demo", headers=BEARER)
        async with project.signed_in() as client:
            async with project.runtime.database.transaction() as session:
                await drop_tables(session)
            assert (await client.get("/oppman/")).status_code == 401
            for page in ("/login", "/database-status", HOME):
                assert (await client.get(page, headers=BROWSER)).status_code == 200
            assert (await client.get("/debug/database-data")).status_code == 401
