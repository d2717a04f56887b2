"""Sign-in, sign-out, tokens, roles and operators over HTTP, with the real session, CSRF check and error answers."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from http.cookies import Morsel, SimpleCookie
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from fastapi import APIRouter, Depends, FastAPI, Form, Request
from pydantic import SecretStr
from sqlalchemy import event
from sqlmodel import SQLModel, update
from starlette.middleware import Middleware

from fastopp.core.apps import NavItem, find_apps
from fastopp.core.dependencies import SessionDep
from fastopp.core.runtime import Runtime
from fastopp.database.session import Database
from fastopp.errors import FastOppError
from fastopp.features.accounts.current_user import Operator, OptionalUser, StaffUser, SuperUser
from fastopp.features.accounts.models import User, utc_now
from fastopp.features.accounts.routes import router
from fastopp.features.accounts.service import add_if_missing, change_password
from fastopp.features.accounts.tokens import issue_token
from fastopp.features.emergency import grants as emergency
from fastopp.platforms.base import Platform
from fastopp.platforms.fly import FLY
from fastopp.platforms.leapcell import LEAPCELL
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from fastopp.storage.select import open_storage
from fastopp.testing import ManualClock
from fastopp.web import problems
from fastopp.web.middleware.csrf import verify_csrf_token
from fastopp.web.middleware.sessions import SchemeAwareSessions
from fastopp.web.templating import Templates

KEY = "an-ordinary-key-of-forty-characters-more"
OPS_TOKEN = "an-operations-token-of-many-characters"
BROWSER = {"Accept": "text/html"}
FAR_AWAY = "192.0.2.1"
SECRET1 = "$argon2id$v=19$m=19456,t=2,p=1$fJBn6oe1LudeDYpY5Y/TwQ$2QnMfUnwhS3txnn8SQ3dEredCpwzWX/vDuvfSIBCNCc"


def make_settings(tmp_path: Path, **changes: Any) -> Settings:
    values = {
        "platform": LOCAL,
        "environment": "production",
        "database_url": SecretStr(f"sqlite:///{tmp_path}/test.db"),
        "secret_key": SecretStr(KEY),
        "ops_token": SecretStr(OPS_TOKEN),
        "upload_dir": tmp_path / "uploads",
    }
    return Settings(**(values | changes))


def make_app(settings: Settings, database: Database) -> FastAPI:
    sessions = Middleware(SchemeAwareSessions, signing_keys=settings.signing_keys)
    app = FastAPI(middleware=[sessions, Middleware(problems.UnhandledErrorMiddleware)])
    app.router.dependencies.append(Depends(verify_csrf_token))
    problems.install(app)
    app.state.templates = Templates(settings)
    app.state.navigation = [NavItem("Registrants", "/webinar-registrants", "management", "staff")]
    app.state.runtime = Runtime(settings, database, open_storage(settings), find_apps(["demo.webinars"]))

    @app.get("/who")
    async def who(request: Request, user: OptionalUser) -> dict[str, str | None]:
        assert request.state.user is user
        return {"email": user.email if user else None}

    @app.get("/staff")
    @app.post("/staff")
    async def staff(request: Request, also: OptionalUser, user: StaffUser) -> dict[str, str]:
        assert request.state.user is user
        return {"email": user.email}

    @app.get("/superuser")
    async def superuser(user: SuperUser) -> dict[str, str]:
        return {"email": user.email}

    @app.get("/operate")
    @app.post("/operate")
    async def operate(user: Operator) -> dict[str, str | None]:
        return {"email": user.email if user else None}

    demo = APIRouter()

    @demo.get("/webinar-registrants")
    async def registrants(user: StaffUser) -> None: ...

    app.include_router(demo)

    @app.post("/emergency")
    async def rescue(enabled: emergency.EmergencyEnabled, number: int = Form()) -> None: ...

    @app.post("/grant")
    async def grant(request: Request, enabled: emergency.EmergencyEnabled) -> None:
        await emergency.grant(request, app.state.runtime)

    @app.get("/rescue")
    async def granted(access: emergency.EmergencySession) -> None: ...

    @app.post("/promote-and-fail")
    async def promote_and_fail(session: SessionDep, user: StaffUser) -> None:
        user.is_superuser = True
        session.add(user)
        await session.flush()
        raise FastOppError("No.")

    app.include_router(router)
    return app


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(tmp_path)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database.from_settings(settings)
    tables = [
        SQLModel.metadata.tables[name]
        for name in ("users", "sessions", "account_links", "audit_logs", "failed_attempts")
    ]
    async with database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all, tables=tables)
    async with database.transaction() as session:
        for name, flags in {
            "staff": {"is_staff": True, "group": "marketing"},
            "support": {"is_staff": True, "group": "support"},
            "boss": {"is_superuser": True},
            "plain": {},
            "gone": {"is_staff": True, "is_active": False},
        }.items():
            await add_if_missing(session, User(email=f"{name}@example.com", hashed_password=SECRET1, **flags))
    yield database
    await database.dispose()


@asynccontextmanager
async def client_of(
    app: FastAPI, *, base: str = "http://shop.example", address: str = FAR_AWAY
) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app, client=(address, 40000))
    async with httpx.AsyncClient(transport=transport, base_url=base) as client:
        yield client


@pytest.fixture
async def client(settings: Settings, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(make_app(settings, database)) as client:
        yield client


async def log_in(client: httpx.AsyncClient, name: str, password: str = "secret1", **fields: str) -> httpx.Response:
    form = {"username": f"{name}@example.com", "password": password} | fields
    return await client.post("/login", data=form, headers=BROWSER)


async def change(database: Database, **columns: object) -> None:
    async with database.transaction() as session:
        await session.exec(update(User).values(**columns))


def cookies_of(response: httpx.Response) -> dict[str, Morsel[str]]:
    jar: SimpleCookie = SimpleCookie()
    for header in response.headers.get_list("set-cookie"):
        jar.load(header)
    return dict(jar)


def session_of(client: httpx.AsyncClient) -> dict[str, Any]:
    import json
    from base64 import b64decode

    return json.loads(b64decode(client.cookies["session"].split(".")[0]))


# Signing in and out


async def test_sign_in_sets_both_cookies(client: httpx.AsyncClient) -> None:
    response = await log_in(client, "staff")
    assert (response.status_code, response.headers["location"]) == (302, "/webinar-registrants")
    cookies = cookies_of(response)
    assert set(cookies) == {"access_token", "session", "device"}
    for cookie in cookies.values():
        assert cookie["httponly"]
        assert cookie["samesite"].lower() == "lax"
        assert cookie["path"] == "/"
        assert not cookie["secure"]
    assert cookies["access_token"]["max-age"] == "1800"
    assert cookies["session"]["max-age"] == str(14 * 24 * 3600)
    assert (await client.get("/who")).json() == {"email": "staff@example.com"}


async def test_session_keys(client: httpx.AsyncClient) -> None:
    await log_in(client, "staff")
    session = session_of(client)
    claims = jwt.decode(session["token"], KEY, algorithms=["HS256"])
    assert session == {
        "token": client.cookies["access_token"],
        "is_authenticated": True,
        "is_superuser": False,
        "is_staff": True,
        "user_id": claims["sub"],
        "user_email": "staff@example.com",
        "group": "marketing",
        "can_manage_webinars": True,
    }
    client.cookies.clear()
    await log_in(client, "support")
    assert session_of(client)["can_manage_webinars"] is False
    client.cookies.clear()
    await log_in(client, "boss")
    assert session_of(client)["can_manage_webinars"] is True


async def test_cookies_are_secure_over_https(settings: Settings, database: Database) -> None:
    async with client_of(make_app(settings, database), base="https://shop.example") as client:
        signed_in = cookies_of(await log_in(client, "staff"))
        assert all(cookie["secure"] for cookie in signed_in.values())
        signed_out = cookies_of(await client.get("/logout"))
        assert all(cookie["secure"] for cookie in signed_out.values())


async def test_over_https_only_this_host_can_set_the_cookies(settings: Settings, database: Database) -> None:
    async with client_of(make_app(settings, database), base="https://shop.example") as client:
        signed_in = cookies_of(await log_in(client, "staff"))
        assert set(signed_in) == {"__Host-access_token", "__Host-session", "__Host-device"}
        assert all(cookie["path"] == "/" and not cookie["domain"] for cookie in signed_in.values())
        assert (await client.get("/who")).json() == {"email": "staff@example.com"}
        planted = {"access_token": "planted", "session": "planted"}
        client.cookies.update(planted)
        assert (await client.get("/who")).json() == {"email": "staff@example.com"}


@pytest.mark.parametrize("kept", [("access_token",), ("session",), ("access_token", "session")])
async def test_cookies_of_earlier_releases_are_honoured_and_replaced(
    settings: Settings, database: Database, kept: tuple[str, ...]
) -> None:
    app = make_app(settings, database)
    async with client_of(app) as earlier:  # over HTTP, where names are plain
        await log_in(earlier, "staff")
        old = "; ".join(f"{name}={earlier.cookies[name]}" for name in kept)
    async with client_of(app, base="https://shop.example") as client:
        assert (await client.get("/who", headers={"Cookie": old})).json() == {"email": "staff@example.com"}
        page = await client.get("/protected", headers=BROWSER | {"Cookie": old})
        assert page.status_code == 200
        changed = cookies_of(page)  # the session got its form token
        assert changed["__Host-session"].value
        assert ("session" in changed) is ("session" in kept)
        ended = cookies_of(await client.get("/logout", headers={"Cookie": old}))
        deleted = {name for name, cookie in ended.items() if cookie["max-age"] == "0" or cookie["expires"]}
        assert {*kept} <= deleted


@pytest.mark.parametrize("https", [False, True])
async def test_the_owners_browser_is_not_kept_out(settings: Settings, database: Database, https: bool) -> None:
    app, base = make_app(settings, database), "https://shop.example" if https else "http://shop.example"
    name = "__Host-device" if https else "device"
    async with client_of(app, base=base) as owner, client_of(app, base=base, address="192.0.2.66") as attacker:
        await log_in(owner, "staff")
        await owner.get("/logout")
        genuine = owner.cookies[name]

        async def attack(account: str, password: str, cookie: str = "") -> int:
            attacker.cookies.clear()  # with the form token of the page that said no
            data = {"username": f"{account}@example.com", "password": password}
            headers = BROWSER | ({"Cookie": f"{name}={cookie}"} if cookie else {})
            return (await attacker.post("/login", data=data, headers=headers)).status_code

        assert [await attack("staff", "wrong1") for _ in range(6)] == [401] * 5 + [429]
        # One that was tampered with is none, and a genuine one is bound to its account.
        for forged in (genuine[:-1], genuine + "A", "x", "x" * 5000, genuine.partition(".")[0]):
            assert await attack("staff", "secret1", forged) == 429
        assert [await attack("boss", "wrong1", genuine) for _ in range(6)] == [401] * 5 + [429]
        assert (await log_in(owner, "staff")).status_code == 302


async def test_the_token_cookie_lives_as_long_as_the_token(tmp_path: Path, database: Database) -> None:
    settings = make_settings(tmp_path, access_token_expire_minutes=7)
    async with client_of(make_app(settings, database)) as client:
        assert cookies_of(await log_in(client, "staff"))["access_token"]["max-age"] == "420"


async def test_sign_in_keeps_nothing_of_the_session_before(tmp_path: Path, database: Database) -> None:
    settings = make_settings(tmp_path, emergency_access_enabled=True)
    async with client_of(make_app(settings, database)) as client:
        await client.post("/grant")
        assert (await client.get("/rescue")).status_code == 200
        before = client.cookies["session"]
        page = await client.get("/login", headers=BROWSER)  # gives the session its CSRF token
        token = page.text.split('name="csrf_token" value="')[1].split('"')[0]
        assert (await log_in(client, "staff")).status_code == 403
        assert (await log_in(client, "staff", csrf_token=token)).status_code == 302
        assert client.cookies["session"] != before
        assert "emergency_access" not in session_of(client)
        assert "csrf" not in session_of(client)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_sign_out_forgets_everything(tmp_path: Path, database: Database, method: str) -> None:
    settings = make_settings(tmp_path, emergency_access_enabled=True)
    async with client_of(make_app(settings, database)) as client:
        await log_in(client, "boss")
        headers = {}
        if method == "POST":
            page = await client.get("/protected", headers=BROWSER)
            headers = {"X-CSRF-Token": page.text.split('name="csrf-token" content="')[1].split('"')[0]}
        await client.post("/grant", headers=headers)
        response = await client.request(method, "/logout", headers=headers)
        assert (response.status_code, response.headers["location"]) == (302, "/")
        assert set(client.cookies) == {"device"}  # which grants nothing
        assert (await client.get("/who")).json() == {"email": None}


@pytest.mark.parametrize(
    ("name", "password", "status", "words"),
    [
        ("staff", "wrong1", 401, "The email address or the password is wrong."),
        ("nobody", "secret1", 401, "The email address or the password is wrong."),
        ("gone", "secret1", 403, "This account is deactivated."),
        ("plain", "secret1", 403, "This account may not sign in here."),
        ("staff", "", 422, "Enter your email address and your password."),
        ("staff", "x" * 1025, 422, "too long"),
    ],
)
async def test_failures_show_the_form_again(
    client: httpx.AsyncClient, name: str, password: str, status: int, words: str
) -> None:
    response = await log_in(client, name, password, next="/protected?a=b")
    assert response.status_code == status
    assert words in response.text
    assert f'value="{name}@example.com"' in response.text
    assert 'value="/protected?a=b"' in response.text
    assert response.headers["cache-control"] == "no-store"
    assert "access_token" not in client.cookies
    assert (await client.get("/who")).json() == {"email": None}


async def test_what_was_typed_is_escaped(client: httpx.AsyncClient) -> None:
    response = await client.post("/login", data={"username": '"><script>x', "password": "p", "next": '/"><script>'})
    assert "<script>x" not in response.text
    assert '/"><script>' not in response.text


async def test_a_lock_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    for _ in range(5):
        assert (await log_in(client, "staff", "wrong1")).status_code == 401
        client.cookies.clear()  # with the session's CSRF token, which only a form would send back
    response = await log_in(client, "staff")
    assert response.status_code == 429
    assert 1 <= int(response.headers["retry-after"]) <= 31
    assert "Too many failed attempts. Try again in" in response.text


@pytest.mark.parametrize("form", [{}, {"username": "staff@example.com"}, {"password": "secret1"}])
async def test_missing_fields_show_the_form(client: httpx.AsyncClient, form: dict[str, str]) -> None:
    response = await client.post("/login", data=form, headers=BROWSER)
    assert response.status_code == 422
    assert "Enter your email address and your password." in response.text


@pytest.mark.parametrize(
    ("name", "target", "location"),
    [
        ("staff", "/protected?a=b", "/protected?a=b"),
        ("staff", "http://shop.example/protected", "/protected"),
        ("staff", "//host", "/webinar-registrants"),
        ("staff", "/\\host", "/webinar-registrants"),
        ("staff", "/%09/host", "/webinar-registrants"),
        ("staff", "https://host/", "/webinar-registrants"),
        ("staff", "/logout", "/webinar-registrants"),
        ("staff", "", "/webinar-registrants"),
        ("boss", "", "/webinar-registrants"),  # this application has no /oppman/
    ],
)
async def test_next(client: httpx.AsyncClient, name: str, target: str, location: str) -> None:
    assert (await log_in(client, name, next=target)).headers["location"] == location
    again = await client.get("/login", params={"next": target}, headers=BROWSER)
    assert (again.status_code, again.headers["location"]) == (302, location)


async def test_a_browser_is_sent_to_sign_in_and_back(client: httpx.AsyncClient) -> None:
    sent = await client.get("/protected?a=b", headers=BROWSER)
    assert sent.headers["location"] == "/login?next=/protected%3Fa%3Db"
    form = await client.get(sent.headers["location"], headers=BROWSER)
    assert form.status_code == 200
    assert 'name="next" value="/protected?a=b"' in form.text
    token = form.text.split('name="csrf_token" value="')[1].split('"')[0]
    back = await log_in(client, "staff", next="/protected?a=b", csrf_token=token)
    page = await client.get(back.headers["location"], headers=BROWSER)
    assert page.status_code == 200
    assert "staff@example.com" in page.text


async def test_who_may_not_sign_in_sees_the_form(client: httpx.AsyncClient, database: Database) -> None:
    await log_in(client, "staff")
    await change(database, is_staff=False, is_superuser=False)
    assert (await client.get("/login", headers=BROWSER)).status_code == 200


# Tokens


async def test_token_for_programs(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/token", data={"username": "staff@example.com", "password": "secret1"})
    answer = response.json()
    assert answer | {"access_token": ""} == {"access_token": "", "token_type": "bearer", "expires_in": 1800}
    assert response.headers["cache-control"] == "no-store"
    assert "set-cookie" not in response.headers
    bearer = {"Authorization": f"bearer {answer['access_token']}"}
    assert (await client.get("/staff", headers=bearer)).json() == {"email": "staff@example.com"}
    assert (await client.post("/staff", headers=bearer)).status_code == 200


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"username": "staff@example.com", "password": "wrong1"}, 401),
        ({"username": "plain@example.com", "password": "secret1"}, 403),
        ({"username": "staff@example.com"}, 422),
        ({"username": "nul\0", "password": "secret1"}, 401),
    ],
)
async def test_token_refused(client: httpx.AsyncClient, form: dict[str, str], status: int) -> None:
    response = await client.post("/api/token", data=form)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/")


async def test_the_session_is_enough_and_rubbish_is_ignored(client: httpx.AsyncClient) -> None:
    await log_in(client, "staff")
    client.cookies.set("access_token", "rubbish", domain="shop.example")
    client.cookies.delete("access_token")
    assert (await client.get("/who")).json() == {"email": "staff@example.com"}
    for rubbish in ("rubbish", "a.b.c", "..", "Bearer"):
        answer = await client.get("/who", headers={"Cookie": f"access_token={rubbish}; session=rubbish"})
        assert answer.json() == {"email": None}


async def test_expired_token(client: httpx.AsyncClient, settings: Settings, database: Database) -> None:
    async with database.read() as session:
        from fastopp.features.accounts.service import get_user

        user = await get_user(session, "staff@example.com")
    old = issue_token(user, settings, uuid.uuid4(), clock=ManualClock(utc_now() - timedelta(minutes=31)))
    response = await client.get("/staff", headers={"Authorization": f"Bearer {old}"})
    assert response.status_code == 401


# Rights come from the database


async def test_roles(client: httpx.AsyncClient) -> None:
    expected = {None: (401, 401), "staff": (200, 403), "boss": (200, 200)}
    for name, statuses in expected.items():
        client.cookies.clear()
        if name:
            await log_in(client, name)
        assert ((await client.get("/staff")).status_code, (await client.get("/superuser")).status_code) == statuses


async def test_refusals_say_what_is_needed(client: httpx.AsyncClient) -> None:
    nobody = await client.get("/staff")
    assert nobody.headers["www-authenticate"] == "Bearer"
    assert nobody.json()["detail"] == "You are not signed in."
    await log_in(client, "staff")
    assert (await client.get("/superuser")).json()["detail"] == "This is for superusers."


@pytest.mark.parametrize(
    ("columns", "statuses"),
    [
        ({"is_superuser": False}, (200, 403)),
        ({"is_superuser": False, "is_staff": False}, (403, 403)),
        ({"is_active": False}, (401, 401)),
        ({"hashed_password": "other"}, (401, 401)),
    ],
)
async def test_lost_rights_are_lost_at_once(
    client: httpx.AsyncClient, database: Database, columns: dict[str, object], statuses: tuple[int, int]
) -> None:
    await change(database, is_staff=True)
    await log_in(client, "boss")
    assert (await client.get("/superuser")).status_code == 200
    await change(database, **columns)
    assert ((await client.get("/staff")).status_code, (await client.get("/superuser")).status_code) == statuses


async def test_a_new_password_ends_old_sign_ins(client: httpx.AsyncClient, database: Database) -> None:
    await log_in(client, "staff")
    async with database.transaction() as session:
        await change_password(session, email="staff@example.com", password="changed since")
    assert (await client.get("/who")).json() == {"email": None}
    client.cookies.clear()
    assert (await log_in(client, "staff", "changed since")).status_code == 302


async def test_gained_rights_hold_at_once_and_failures_are_rolled_back(
    client: httpx.AsyncClient, database: Database
) -> None:
    token = (await client.post("/api/token", data={"username": "staff@example.com", "password": "secret1"})).json()
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert (await client.post("/promote-and-fail", headers=bearer)).status_code == 500
    assert (await client.get("/superuser", headers=bearer)).status_code == 403
    await change(database, is_superuser=True)
    assert (await client.get("/superuser", headers=bearer)).status_code == 200


async def test_one_query_with_a_token_and_none_without(client: httpx.AsyncClient, database: Database) -> None:
    queries: list[str] = []

    @event.listens_for(database.engine.sync_engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, *_rest) -> None:
        queries.append(statement)

    await client.get("/who")
    assert queries == []
    await log_in(client, "staff")
    queries.clear()
    assert (await client.get("/staff")).status_code == 200  # asks twice: OptionalUser and StaffUser
    assert len(queries) == 1


# Operators


async def test_operators(client: httpx.AsyncClient) -> None:
    assert (await client.get("/operate")).status_code == 401
    right = {"Authorization": f"Bearer {OPS_TOKEN}"}
    assert (await client.get("/operate", headers=right)).json() == {"email": None}
    await log_in(client, "staff")
    assert (await client.get("/operate")).status_code == 403
    assert (await client.get("/operate", headers=right)).status_code == 200
    client.cookies.clear()
    await log_in(client, "boss")
    assert (await client.get("/operate")).json() == {"email": "boss@example.com"}


async def test_wrong_ops_tokens_are_limited_and_the_right_one_is_not(client: httpx.AsyncClient) -> None:
    wrong = {"Authorization": f"Bearer {OPS_TOKEN}x"}
    statuses = [(await client.post("/operate", headers=wrong)).status_code for _ in range(21)]
    assert statuses == [401] * 20 + [429]
    assert (await client.get("/operate", headers={"Authorization": f"Bearer {OPS_TOKEN}"})).status_code == 200


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic abc", "", "Bearer \xe9"])
async def test_no_ops_token_is_configured(tmp_path: Path, database: Database, header: str) -> None:
    settings = make_settings(tmp_path, ops_token=SecretStr(""))
    async with client_of(make_app(settings, database)) as client:
        response = await client.get("/operate", headers={"Authorization": header.encode("latin-1")})
        assert response.status_code == 401


async def test_tokens_are_compared_in_constant_time(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import hmac

    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def noted(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    await client.get("/operate", headers={"Authorization": "Bearer guess"})
    assert (b"guess", OPS_TOKEN.encode()) in compared


@pytest.mark.parametrize(
    ("changes", "address", "base", "headers", "status"),
    [
        ({"environment": "development"}, "127.0.0.1", "http://localhost:8000", {}, 200),
        ({"environment": "development"}, "127.0.0.1", "http://127.0.0.1:8000", {}, 200),
        ({"environment": "development"}, "::1", "http://[::1]:8000", {}, 200),
        ({"environment": "development"}, "192.168.1.7", "http://localhost:8000", {}, 401),
        ({"environment": "development"}, "127.0.0.1", "http://rebound.example", {}, 401),
        ({"environment": "development"}, "127.0.0.1", "http://localhost", {"X-Forwarded-For": "127.0.0.1"}, 401),
        ({"environment": "development"}, "127.0.0.1", "http://localhost", {"X-Forwarded-Proto": "https"}, 401),
        ({"environment": "development"}, "127.0.0.1", "http://localhost", {"Forwarded": "for=127.0.0.1"}, 401),
        ({"environment": "development"}, "not-an-address", "http://localhost", {}, 401),
        ({"environment": "development", "platform": LEAPCELL}, "127.0.0.1", "http://localhost", {}, 401),
        ({"environment": "production"}, "127.0.0.1", "http://localhost", {}, 401),
        ({"environment": "production", "platform": FLY}, "127.0.0.1", "http://localhost", {}, 401),
    ],
)
async def test_local_development_is_open_to_this_machine_only(
    tmp_path: Path,
    database: Database,
    changes: dict[str, Platform | str],
    address: str,
    base: str,
    headers: dict[str, str],
    status: int,
) -> None:
    app = make_app(make_settings(tmp_path, **changes), database)
    async with client_of(app, base=base, address=address) as client:
        assert (await client.get("/operate", headers=headers)).status_code == status


# Emergency access


async def test_emergency_is_invisible_when_disabled(client: httpx.AsyncClient) -> None:
    for response in (
        await client.post("/emergency"),
        await client.post("/emergency", data={"number": "x"}),
        await client.get("/rescue"),
        await client.post("/grant"),
    ):
        assert response.status_code == 404


async def test_emergency_session(tmp_path: Path, database: Database) -> None:
    settings = make_settings(tmp_path, emergency_access_enabled=True)
    async with client_of(make_app(settings, database)) as client:
        assert (await client.post("/emergency", data={"number": "x"})).status_code == 422
        assert (await client.get("/rescue")).status_code == 403
        await client.post("/grant")
        assert (await client.get("/rescue")).status_code == 200
        assert (await client.get("/staff")).status_code == 401  # it grants nothing else


# The database is down


@pytest.fixture
async def broken(tmp_path: Path, settings: Settings, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """An application whose database is gone, in a browser that signed in before."""
    down = make_settings(tmp_path, database_url=SecretStr("postgresql://u:p@127.0.0.1:1/db"), db_timeout=2)
    unreachable = Database.from_settings(down)
    async with client_of(make_app(settings, database)) as client:
        await log_in(client, "boss")
        cookies = dict(client.cookies)
    async with client_of(make_app(down, unreachable)) as client:
        client.cookies.update(cookies)
        yield client
    await unreachable.dispose()


async def test_pages_render_and_rights_wait_while_the_database_is_down(broken: httpx.AsyncClient) -> None:
    assert (await broken.get("/who")).json() == {"email": None}
    assert (await broken.get("/login", headers=BROWSER)).status_code == 200
    assert (await broken.get("/staff")).status_code == 503
    assert (await broken.get("/operate")).status_code == 503
    right = {"Authorization": f"Bearer {OPS_TOKEN}"}
    assert (await broken.get("/operate", headers=right)).status_code == 200


async def test_sign_in_during_an_outage_is_no_wrong_password(broken: httpx.AsyncClient) -> None:
    broken.cookies.clear()
    response = await log_in(broken, "boss")
    assert response.status_code == 503
    assert "wrong" not in response.text
    assert int(response.headers["retry-after"]) > 0
    wrong = {"Authorization": "Bearer guess"}
    assert (await broken.get("/operate", headers=wrong)).status_code == 401


async def test_with_a_bearer_token_cookies_are_ignored(client: httpx.AsyncClient) -> None:
    """Else the token would switch off the check of form tokens for what the cookies may do."""
    await log_in(client, "staff")
    await client.get("/protected", headers=BROWSER)  # gives the session its form token
    assert (await client.post("/staff")).status_code == 403
    for value in ("Bearer x", "Bearer a.b.c", f"Bearer {OPS_TOKEN}"):
        assert (await client.post("/staff", headers={"Authorization": value})).status_code == 401
    for value in ("Basic YTpi", "Bearer", "Negotiate x"):
        assert (await client.post("/staff", headers={"Authorization": value})).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Referer": "https://evil.example/page"},
        {"Origin": "null"},
    ],
)
async def test_another_site_cannot_sign_out(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    await log_in(client, "staff")
    refused = await client.get("/logout", headers=headers | BROWSER)
    assert refused.status_code == 403
    assert (await client.get("/who")).json() == {"email": "staff@example.com"}
    assert (await client.get("/logout", headers={"Sec-Fetch-Site": "none"})).status_code == 302
    assert (await client.get("/who")).json() == {"email": None}
