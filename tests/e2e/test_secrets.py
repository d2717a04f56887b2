"""What an attacker would try on a running project, and a hunt for every secret it was given."""

from __future__ import annotations

import base64
import json
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.gate import only_full
from tests.services.front import Front
from tests.services.site import Site, account, copy_project, form_token_of, run_command, succeed

HTML = {"accept": "text/html"}
HTTPS = {"x-forwarded-proto": "https"}

SECRETS = {
    "SECRET_KEY": "Canary-secret-key-3f9a7c1e5b2d8064-Zq",
    "OPS_TOKEN": "Canary-ops-token-91b6e0d4a7f3c258",
    "SUPERUSER_PASSWORD": "Canary-superuser-pw-55d1",
    "S3_ACCESS_KEY": "CANARYS3ACCESSKEY0001",
    "S3_SECRET_KEY": "Canary-s3-secret-77aa0c",
    "OPENROUTER_API_KEY": "Canary-openrouter-key-2b",
    "OPENAI_API_KEY": "Canary-openai-key-90e",
}
DATABASE_PASSWORD = "Canary-db-pw-e81"
SEALED = re.compile(r"\$argon2|\$2[aby]\$")  # how a password's hash begins
LEAKS = [*SECRETS.values(), DATABASE_PASSWORD, "Canary"]

EVERYWHERE = (
    "/", "/login", "/protected", "/database-demo", "/webinar-demo", "/ai-demo", "/design-demo", "/database-status",
    "/license", "/docs", "/openapi.json", "/health", "/health/database", "/debug/simple", "/debug/leapcell",
    "/debug/database", "/debug/database-data", "/debug/settings", "/debug/connection", "/api/products",
    "/api/registrants", "/api/webinar-attendees", "/webinar-registrants", "/oppman/", "/oppman/users",
    "/oppman/migrations", "/oppdemo/", "/oppdemo/check-users", "/oppdemo/test-auth", "/oppman/emergency", "/admin/",
    "/admin/user/list", "/admin/user/export/csv", "/admin/user/export/json", "/admin/audit-log/list",
    "/admin/audit-log/export/json", "/no-such-page", "/robots.txt", "/api/chat/test",
)  # fmt: skip


def leaks(text: str) -> list[str]:
    return [secret for secret in LEAKS if secret in text] + SEALED.findall(text)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A project in production, with every secret set, that logs all it can."""
    project = copy_project(tmp_path_factory.mktemp("secrets") / "project")
    chosen = SECRETS | {
        "ENVIRONMENT": "production",
        "DEBUG": "true",
        "LOG_LEVEL": "debug",
        "EMERGENCY_ACCESS_ENABLED": "true",
        "OPENROUTER_BASE_URL": "http://127.0.0.1:1",
        "STORAGE_TYPE": "filesystem",
        "S3_BUCKET": "bucket",
    }
    succeed(project, "oppdemo.py", "init", environ=chosen)
    with Site(project, chosen) as running:
        yield running


@pytest.fixture
def superuser(guarded: Site) -> Iterator[httpx.Client]:
    with guarded.client() as client:
        data = {"username": "admin@example.com", "password": SECRETS["SUPERUSER_PASSWORD"]}
        assert client.post("/login", data=data).status_code == 302
        client.headers["X-CSRF-Token"] = form_token_of(client)
        yield client


def test_no_answer_and_no_log_line_holds_a_secret(guarded: Site, superuser: httpx.Client) -> None:
    operator = {"authorization": f"Bearer {SECRETS['OPS_TOKEN']}"}
    with guarded.client() as nobody:
        for path in EVERYWHERE:
            for client, headers in ((nobody, {}), (nobody, operator), (superuser, {}), (superuser, HTML)):
                answer = client.get(path, headers=headers)
                assert leaks(answer.text + str(answer.headers)) == [], path
        wrong = [
            nobody.post("/login", data={"username": "admin@example.com", "password": "Canary-typed-wrongly"}),
            nobody.post("/api/token", json={"password": "Canary-typed-wrongly"}),
            nobody.post("/api/token", data={"username": "Canary\x00", "password": "Canary-typed-wrongly"}),
            nobody.post("/oppman/emergency/verify", data={"token": "Canary-typed-wrongly"}),
            superuser.post("/oppman/change-password", data={"email": "no@example.com", "new_password": "Canary-new"}),
            superuser.post("/oppman/users", data={"email": "bad", "password": "Canary-new"}),
            superuser.post("/api/chat", json={"message": "hello"}),
            superuser.post("/oppdemo/debug-storage"),
            superuser.post("/oppman/user-management", data={"command": "test_auth"}),
        ]
    for answer in wrong:
        found = [secret for secret in leaks(answer.text) if secret != "Canary"]
        assert found == [], answer.url
        assert "Canary-typed-wrongly" not in answer.text, answer.url
        assert "Canary-new" not in answer.text, answer.url
    assert leaks(guarded.log) == []
    assert "unhandled error" not in guarded.log


def test_failing_queries_at_debug_level(guarded: Site, superuser: httpx.Client) -> None:
    """A table that is gone, a row that breaks a constraint: logged with SQL, without values."""
    with closing(sqlite3.connect(guarded.project / "test.db")) as database:
        database.execute("alter table webinar_registrants rename to elsewhere")
    try:
        for path in ("/webinar-registrants", "/api/registrants", "/admin/webinar-registrants/list"):
            answer = superuser.get(path, headers=HTML)
            assert answer.status_code == 503, path
            assert leaks(answer.text) == []
            assert "SELECT" not in answer.text
    finally:
        with closing(sqlite3.connect(guarded.project / "test.db")) as database:
            database.execute("alter table elsewhere rename to webinar_registrants")
    form = {"name": "A", "email": "canary-row@example.com", "webinar_title": "T", "webinar_date": "2027-01-01T10:00"}
    assert [superuser.post("/webinar-registrants", data=form).status_code for _ in range(2)] == [201, 409]
    assert leaks(guarded.log) == []
    assert "canary-row" not in guarded.log


@pytest.mark.parametrize(
    ("driver", "where"),
    [("psycopg", "nowhere"), ("psycopg", "wrong password"), *only_full(("asyncpg", "wrong password"))],
)
def test_a_database_that_cannot_be_reached(driver: str, where: str, tmp_path: Path, plain_front: Front) -> None:
    port = 1 if where == "nowhere" else plain_front.port
    url = f"postgresql+{driver}://app:{DATABASE_PASSWORD}@127.0.0.1:{port}/postgres"
    project = copy_project(tmp_path / "project")
    environ = {"DATABASE_URL": url, "DEBUG": "true", "LOG_LEVEL": "debug", "DB_TIMEOUT": "2"}
    with Site(project, environ) as site, site.client() as client:
        for path in ("/", "/database-demo", "/health", "/health/database", "/debug/connection", "/debug/leapcell",
                     "/debug/database", "/database-status", "/api/products"):  # fmt: skip
            for headers in ({}, HTML):
                assert leaks(client.get(path, headers=headers).text) == [], path
        assert client.post("/async/init-demo").status_code in (500, 503)
        assert leaks(site.log) == []
    for words in (
        ("oppman.py", "env", "--json"),
        ("oppman.py", "env"),
        ("oppman.py", "migrate"),
        ("oppdemo.py", "init"),
    ):
        done = run_command(project, *words, environ=environ)
        assert leaks(done.stdout + done.stderr) == [], words


def test_the_configuration_on_the_command_line(guarded: Site) -> None:
    for words in (("env", "--json"), ("list_users", "--json"), ("test_auth",), ("emergency",)):
        done = run_command(guarded.project, "oppman.py", *words, environ=guarded.environ)
        assert done.returncode == 0, done.stderr
        assert leaks(done.stdout + done.stderr) == [], words
    script = "from fastopp.settings import load_settings as l; s = l(); print(s, repr(s), s.model_dump(), s.database)"
    done = run_command(guarded.project, "-c", script, environ=guarded.environ)
    assert done.returncode == 0, done.stderr
    assert leaks(done.stdout) == []


def test_cookies(guarded: Site) -> None:
    data = {"username": "admin@example.com", "password": SECRETS["SUPERUSER_PASSWORD"]}
    with guarded.client() as client:
        plain = client.post("/login", data=data).headers.get_list("set-cookie")
    with guarded.client() as client:
        behind_https = client.post("/login", data=data, headers=HTTPS).headers.get_list("set-cookie")
    names = {"access_token", "session", "device"}
    assert {cookie.partition("=")[0] for cookie in plain} == names
    assert {cookie.partition("=")[0] for cookie in behind_https} == {f"__Host-{name}" for name in names}
    for cookie in plain + behind_https:
        assert "httponly" in cookie.lower()
        assert "samesite=lax" in cookie.lower()
        assert ("secure" in cookie.lower().replace("samesite", "")) == (cookie in behind_https)


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.test", "https://evil.test", "/\\evil.test", "\\\\evil.test", "/%09/evil.test", "\t//evil.test",
     "/\t/evil.test",
     "javascript:alert(1)", "http:evil.test", "///evil.test", "/\r\nX-Evil: 1", "https:/evil.test", "@evil.test"],
)  # fmt: skip
def test_sign_in_leads_nowhere_else(elsewhere: str, guarded: Site) -> None:
    data = {"username": "admin@example.com", "password": SECRETS["SUPERUSER_PASSWORD"], "next": elsewhere}
    with guarded.client() as client:
        answer = client.post("/login", data=data)
        assert answer.status_code == 302
        assert "x-evil" not in answer.headers
        target = httpx.URL(guarded.url).join(answer.headers["location"].replace("\\", "/").replace("\t", ""))
        assert target.host == "127.0.0.1", answer.headers["location"]
        signed_in = client.get("/login", params={"next": elsewhere})
        target = httpx.URL(guarded.url).join(signed_in.headers["location"].replace("\\", "/").replace("\t", ""))
        assert target.host == "127.0.0.1"


def test_a_made_up_host(guarded: Site, superuser: httpx.Client) -> None:
    """Nothing that we send leads to a host that a caller made up."""
    for headers in ({"host": "evil.test"}, {"x-forwarded-host": "evil.test"}, {"x-forwarded-server": "evil.test"}):
        for path in ("/login", "/oppman", "/admin", "/protected", "/", "/admin/", "/admin/product/list", "/static"):
            answer = superuser.get(path, headers=headers | HTML)
            assert "evil.test" not in answer.headers.get("location", ""), (path, headers)
            if path.startswith("/admin") and "host" in headers:
                continue  # SQLAdmin's links are absolute; no browser can be made to send another Host
            assert "evil.test" not in answer.text, (path, headers)


@pytest.mark.parametrize("folder", ["/static/", "/static/uploads/", "/static/products/"])
def test_no_path_leads_out_of_a_folder(folder: str, guarded: Site) -> None:
    tricks = ("../main.py", "../../main.py", "..%2fmain.py", "..%2f..%2fmain.py", "%2e%2e/main.py", "....//main.py",
              "..%5cmain.py", "%2fetc%2fpasswd", "/etc/passwd", "..%252fmain.py", "photos/../../../test.db",
              "photos/%2e%2e/%2e%2e/%2e%2e/test.db", "../../../../../../etc/passwd", ".hidden",
              "photos", "photos/")  # fmt: skip
    host, port = "127.0.0.1", guarded.port
    for trick in tricks:  # over a plain socket: a client would tidy the path
        with socket.create_connection((host, port), timeout=10) as connection:
            request = f"GET {folder}{trick} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        status = int(answer.split()[1])
        assert 400 <= status < 500, (trick, status)
        for content in (b"FastOpp(", b"root:", b"SQLite format"):
            assert content not in answer, trick


def test_a_forged_session(guarded: Site) -> None:
    data = {"username": "admin@example.com", "password": SECRETS["SUPERUSER_PASSWORD"]}
    with guarded.client() as client:
        client.post("/login", data=data)
        token, session = client.cookies["access_token"], client.cookies["session"]
    head, body, signature = token.removeprefix('"').removesuffix('"').removeprefix("Bearer ").split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))

    def encoded(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    none = f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{body}."
    later = f"{head}.{encoded(claims | {'exp': 9999999999})}.{signature}"
    forged = [none, later, f"{head}.{body}.{signature[:-2]}AA", f"{head}.{body}.", "x", "", f"{head}.{body}"]
    contents, _, rest = session.partition(".")
    sessions = [
        f"{encoded({'user': 'admin', 'emergency_access': True})}.{rest}",
        contents,
        session[:-2] + "AA",
        "x.y.z",
    ]
    with guarded.client() as client:
        assert (
            client.get("/api/registrants", headers={"authorization": f"Bearer {head}.{body}.{signature}"}).status_code
            == 200
        )
        for each in forged:
            bearer = f"Bearer {each}".strip()
            assert client.get("/api/registrants", headers={"authorization": bearer}).status_code == 401, each
            answer = client.get("/api/registrants", headers={"cookie": f"access_token={each}"})
            assert answer.status_code == 401, each
        for each in sessions:
            for path in ("/api/registrants", "/oppman/emergency/dashboard", "/admin/user/list"):
                assert client.get(path, headers={"cookie": f"session={each}"}).status_code in (302, 303, 401, 403), path
    assert leaks(base64.urlsafe_b64decode(body + "==").decode()) == []
    assert leaks(base64.b64decode(contents + "==").decode(errors="replace")) == []


CHANGES = (
    ("POST", "/oppman/change-password"), ("POST", "/oppman/users"), ("POST", "/oppman/migrate"),
    ("POST", "/oppdemo/init"), ("POST", "/oppdemo/products"), ("POST", "/webinar-registrants"),
    ("POST", "/update-notes/00000000-0000-0000-0000-000000000000"), ("POST", "/async/init-demo"),
    ("POST", "/upload-photo/00000000-0000-0000-0000-000000000000"), ("POST", "/logout"),
    ("DELETE", "/delete-photo/00000000-0000-0000-0000-000000000000"),
    ("POST", "/admin/product/create"), ("DELETE", "/admin/product/delete?pks=00000000-0000-0000-0000-000000000000"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_other_sites_change_nothing(method: str, path: str, guarded: Site) -> None:
    """With a victim's cookies: from another site, from a sandbox, and with no or another's form token."""
    data = {"username": "admin@example.com", "password": SECRETS["SUPERUSER_PASSWORD"]}
    with guarded.client() as client:
        client.post("/login", data=data)
        for headers in (
            {"origin": "https://evil.test"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"referer": "https://evil.test/x"},
            {"origin": "https://evil.test", "x-csrf-token": form_token_of(client)},
        ):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 403, (headers, answer.status_code)
        if not path.startswith(
            "/admin"
        ):  # SQLAdmin's forms have no token: there the two cookies' SameSite and Origin do
            for headers in ({}, {"x-csrf-token": "guess"}):
                answer = client.request(method, path, headers=headers)
                assert answer.status_code == 403, (headers, answer.status_code)


def test_who_loses_a_right_loses_it_at_once(tmp_path: Path, seeded_project: Path) -> None:
    project = copy_project(tmp_path / "project")
    with (
        closing(sqlite3.connect(seeded_project / "test.db")) as source,
        closing(sqlite3.connect(project / "test.db")) as copy,
    ):
        source.backup(copy)
    with Site(project, {"LOG_LEVEL": "debug"}) as site, site.signed_in("admin2@example.com") as client:
        bearer = client.post("/api/token", data=account("admin2@example.com"), headers={"cookie": ""}).json()
        with site.client(headers={"authorization": f"Bearer {bearer['access_token']}"}) as program:

            def standing() -> list[int]:
                return [
                    program.get("/oppman/users").status_code,
                    client.get("/oppman/users").status_code,
                    client.get("/admin/user/list").status_code,
                    client.get("/api/registrants").status_code,
                ]

            def change(values: str) -> None:
                with closing(sqlite3.connect(project / "test.db")) as database:
                    database.execute(f"update users set {values} where email = 'admin2@example.com'")
                    database.commit()

            assert standing() == [200] * 4
            change("is_superuser = 0")
            assert standing()[:2] == [403, 403]
            assert standing()[2] != 200
            assert standing()[3] == 200
            change("is_staff = 0")
            assert 200 not in standing()
            change("is_superuser = 1, is_staff = 1, is_active = 0")
            assert 200 not in standing()
            change("is_active = 1")
            with site.signed_in() as admin:
                data = {"email": "admin2@example.com", "new_password": "An-other-passw0rd"}
                assert admin.post("/oppman/change-password", data=data).status_code == 200
            assert 200 not in standing()
        assert SEALED.findall(site.log) == []
        assert "An-other-passw0rd" not in site.log
