"""Every command of oppman.py and oppdemo.py in a project of its own, as somebody at a shell or a script runs it."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import time
import tomllib
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main

from fastopp.cli.oppdemo import program
from fastopp.cli.oppman import app as oppman_app
from fastopp.console.main_file import list_apps
from fastopp.core.apps import find_apps
from leapcell_emulator.loopback import free_port
from tests.services.site import PATIENCE, Site, copy_project, form_token_of, run_command, start_command, succeed

HTML = {"accept": "text/html"}


def fail(
    project: Path,
    *words: str,
    status: int = 1,
    environ: dict[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a command that must fail with that status and one clear message; its output."""
    done = run_command(project, *words, environ=environ, stdin=stdin)
    said = done.stdout + done.stderr
    assert done.returncode == status, f"{words}: {done.returncode}\n{said}"
    assert "Traceback" not in said, said
    assert done.stderr.strip(), f"{words} says nothing on standard error: {done.stdout}"
    assert "\x1b" not in said
    return said


oppdemo_app = program(find_apps(list_apps(Path(__file__).parents[2] / "main.py")))


def names_of(app: typer.Typer) -> list[tuple[str, ...]]:
    """Every command and subcommand."""
    group: Any = typer.main.get_command(app)
    found: list[tuple[str, ...]] = [()]
    for name, command in group.commands.items():
        found.append((name,))
        found += [(name, sub) for sub in getattr(command, "commands", {})]
    return found


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, seeded_project: Path) -> Path:
    """A seeded project whose data these tests do not change."""
    project = copy_project(tmp_path_factory.mktemp("cli") / "project")
    with (
        closing(sqlite3.connect(seeded_project / "test.db")) as source,
        closing(sqlite3.connect(project / "test.db")) as copy,
    ):
        source.backup(copy)
    return project


@pytest.fixture
def project(tmp_path: Path, shared: Path) -> Path:
    """A seeded project of the test's own."""
    folder = copy_project(tmp_path / "project")
    (folder / "test.db").write_bytes((shared / "test.db").read_bytes())
    return folder


def tables(project: Path) -> set[str]:
    with closing(sqlite3.connect(project / "test.db")) as connection:
        return {row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")}


def test_every_command_has_help(shared: Path) -> None:
    """In one process, since a start of Python costs a second; `main` is what a shell's call ends in."""
    for app in (oppman_app, oppdemo_app):
        group: Any = typer.main.get_command(app)
        for words in names_of(app):
            with redirect_stdout(StringIO()) as output:
                assert group.main([*words, "--help"], standalone_mode=False) == 0, words
            assert "Usage" in output.getvalue()
            if words:
                command = group
                for word in words:
                    command = command.commands[word]
                assert command.help, f"{words} does not say what it does"
    assert "Usage" in succeed(shared, "oppman.py", "help")
    assert run_command(shared, "oppdemo.py").returncode == 2


def test_every_command_of_fastopp_0_4_8_is_there() -> None:
    old_oppman = {
        "runserver", "stopserver", "production", "db", "superuser", "check_users", "list_users", "test_auth",
        "change_password", "emergency", "backup", "delete", "migrate", "makemigrations", "sqlmigrate",
        "showmigrations", "env", "secrets", "demo", "clean", "help",
    }  # fmt: skip
    old_migrate = {
        "init", "setup", "create", "upgrade", "downgrade", "current", "history", "show", "stamp", "check",
        "sqlmigrate", "showmigrations", "makemigrations",
    }  # fmt: skip
    old_oppdemo = {
        "init", "db", "superuser", "users", "products", "webinars", "download_photos", "registrants",
        "clear_registrants", "check_users", "test_auth", "change_password", "list_users", "save", "restore",
        "destroy", "diff", "backups", "help",
    }  # fmt: skip
    oppman = set(names_of(oppman_app))
    assert {(name,) for name in old_oppman} <= oppman
    assert {("migrate", name) for name in old_migrate} <= oppman
    assert {(name,) for name in old_oppdemo} <= set(names_of(oppdemo_app))


def test_looking_at_accounts(shared: Path) -> None:
    for script in ("oppman.py", "oppdemo.py"):
        lines = succeed(shared, script, "list_users").splitlines()
        assert lines[0].split("\t") == ["Email", "Active", "Superuser", "Staff", "Group"]
        assert len(lines) == 9
    users = json.loads(succeed(shared, "oppman.py", "list_users", "--json"))
    assert {user["email"] for user in users} >= {"admin@example.com", "bob@example.com"}
    assert "hashed_password" not in users[0]
    assert "8 accounts" in succeed(shared, "oppman.py", "check_users")
    assert "token" in succeed(shared, "oppman.py", "test_auth").lower()


def test_looking_at_migrations(shared: Path) -> None:
    head = succeed(shared, "oppman.py", "migrate", "current").strip()
    assert re.fullmatch(r"\d{4}", head)
    assert len(succeed(shared, "oppman.py", "migrate", "history").splitlines()) == int(head) + 1
    assert ".py" in succeed(shared, "oppman.py", "migrate", "history", "--verbose")
    assert "def upgrade" in succeed(shared, "oppman.py", "migrate", "show")
    assert "0001" in succeed(shared, "oppman.py", "migrate", "show", "0001")
    assert head in succeed(shared, "oppman.py", "migrate", "check")
    assert json.loads(succeed(shared, "oppman.py", "migrate", "check", "--json"))["pending"] == []
    states = json.loads(succeed(shared, "oppman.py", "showmigrations", "--json"))
    assert all(state["applied"] for state in states)
    assert f"[X] {head}" in succeed(shared, "oppman.py", "showmigrations")
    assert re.search(r"CREATE TABLE .*users", succeed(shared, "oppman.py", "sqlmigrate", "0001"))
    assert re.search(r"DROP TABLE .*users", succeed(shared, "oppman.py", "sqlmigrate", "0001", "--backwards"))
    assert "Nothing to do" in succeed(shared, "oppman.py", "migrate")
    assert "No changes" in succeed(shared, "oppman.py", "makemigrations", "nothing")
    assert "no" in fail(shared, "oppman.py", "migrate", "show", "9999")
    fail(shared, "oppman.py", "sqlmigrate", "9999")
    fail(shared, "oppman.py", "migrate", "upgrade", "9999")
    fail(shared, "oppman.py", "migrate", "downgrade", "9999")


def test_looking_at_the_configuration(shared: Path) -> None:
    lines = succeed(shared, "oppman.py", "secrets").splitlines()
    assert [line.partition("=")[0] for line in lines] == ["SECRET_KEY", "OPS_TOKEN"]
    assert all(len(line.partition("=")[2]) >= 43 for line in lines)
    shown = json.loads(succeed(shared, "oppman.py", "env", "--json", environ={"OPS_TOKEN": "a" * 10 + "b" * 20}))
    assert shown["platform"] == "local"
    assert shown["settings"]["OPS_TOKEN"] == "set"
    assert "DATABASE_URL" in succeed(shared, "oppman.py", "env")
    assert "| `DATABASE_URL`" in succeed(shared, "oppman.py", "settings")
    assert "DATABASE_URL=" in succeed(shared, "oppman.py", "settings", "--env")
    assert "oppdemo.py" in succeed(shared, "oppman.py", "demo")
    assert "Token: " in succeed(shared, "oppman.py", "emergency")


def test_migrations_back_and_forth(project: Path) -> None:
    succeed(project, "oppman.py", "migrate", "downgrade", "-1")
    assert "lacks" in fail(project, "oppman.py", "migrate", "check")
    succeed(project, "oppman.py", "migrate", "upgrade")
    assert "products (8 rows)" in fail(project, "oppman.py", "migrate", "downgrade", "base")
    succeed(project, "oppman.py", "migrate", "downgrade", "base", "--yes")
    assert succeed(project, "oppman.py", "migrate", "current") == "base\n"
    assert "users" not in tables(project)
    succeed(project, "oppman.py", "db")
    assert "users" in tables(project)
    succeed(project, "oppman.py", "migrate", "stamp", "0001")
    assert succeed(project, "oppman.py", "migrate", "current") == "0001\n"


def test_passwords(project: Path) -> None:
    words = ("oppman.py", "change_password", "--email", "staff@example.com")
    succeed(project, *words, "--password-stdin", stdin="a-new-passw0rd\n")
    with Site(project) as site:
        for password, status in (("a-new-passw0rd", 302), ("test123", 401)):
            with site.client() as client:
                answer = client.post("/login", data={"username": "staff@example.com", "password": password})
            assert answer.status_code == status
    fail(project, *words, "--password-stdin", stdin="short\n")
    fail(project, "oppman.py", "change_password", "--email", "no@example.com", "--password-stdin", stdin="abcdef123\n")
    fail(project, *words)  # nobody to ask


def test_accounts_sessions_and_tokens(project: Path) -> None:
    mary, user = "mary@example.com", ("oppman.py", "user")
    succeed(
        project,
        *user,
        "create",
        mary,
        "--role",
        "staff",
        "--name",
        "Mary",
        "--password-stdin",
        stdin="for Mary's use\n",
    )
    fail(project, *user, "create", mary, "--generate")
    fail(project, *user, "create", "weak@example.com", "--password-stdin", stdin="password1\n")
    succeed(project, *user, "set-role", mary, "superuser")
    token = succeed(project, *user, "token", "create", mary, "robot", "--write", "--days", "9").strip()
    assert re.fullmatch(r"fastopp_[0-9a-f]{32}_[\w-]{43}", token)
    (listed,) = json.loads(succeed(project, *user, "token", "list", mary, "--json"))
    assert (listed["name"], listed["scopes"], listed["last_used_at"]) == ("robot", ["read", "write"], None)
    assert token not in succeed(project, *user, "token", "list", mary)
    fail(project, *user, "token", "create", "staff@example.com", "robot", "--operations")
    fail(project, *user, "token", "revoke", "staff@example.com", listed["id"])
    succeed(project, *user, "token", "revoke", mary, listed["id"])
    fail(project, *user, "token", "revoke", mary, listed["id"])
    assert json.loads(succeed(project, *user, "sessions", mary, "--json")) == []
    assert "signed out everywhere" in succeed(project, *user, "sign-out", mary)
    succeed(project, *user, "disable", mary)
    fail(project, *user, "sign-out", "nobody@example.com")
    rows = {row["email"]: row for row in json.loads(succeed(project, *user, "list", "--json"))}
    assert (rows[mary]["is_active"], rows[mary]["is_superuser"], rows[mary]["name"]) == (False, True, "Mary")
    succeed(project, *user, "enable", mary)
    assert "is deleted" in succeed(project, *user, "delete", mary, "--yes")
    fail(project, *user, "delete", mary, "--yes")


def test_the_database_file(project: Path) -> None:
    assert "test.db." in succeed(project, "oppman.py", "backup")
    assert len(list(project.glob("test.db.*"))) == 1
    assert "--yes" in fail(project, "oppman.py", "delete")
    assert (project / "test.db").exists()
    succeed(project, "oppman.py", "delete", "--yes")
    assert not (project / "test.db").exists()
    assert len(list(project.glob("test.db.*"))) == 2
    assert "no database" in fail(project, "oppman.py", "backup")
    assert "no database" in fail(project, "oppman.py", "delete", "--yes")


def test_single_steps(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for step in ("db", "superuser", "users", "products", "webinars", "download_photos", "registrants", "products"):
        succeed(project, "oppdemo.py", step)
    assert "--yes" in fail(project, "oppdemo.py", "clear_registrants")
    succeed(project, "oppdemo.py", "clear_registrants", "--yes")
    report = json.loads(succeed(project, "oppdemo.py", "init", "--json"))
    assert report["success"] is True
    assert {result["status"] for result in report["results"]} <= {"success", "skipped"}
    assert succeed(project, "oppdemo.py", "init", "--if-empty") == ""
    with Site(project) as site, site.client() as client:
        counts = client.get("/debug/database-data").json()["table_counts"]
    assert counts["users"] == counts["products"] == 8


def test_an_app_from_nothing(project: Path) -> None:
    succeed(project, "oppman.py", "startapp", "shop")
    fail(project, "oppman.py", "startapp", "shop")
    for bad in ("admin", "class", "Shop!", "../evil", "json"):
        fail(project, "oppman.py", "startapp", bad)
    assert "Wrote" in succeed(project, "oppman.py", "makemigrations", "Add", "shop")
    succeed(project, "oppman.py", "migrate")
    succeed(project, "oppman.py", "migrate", "check")
    succeed(project, "oppdemo.py", "init")
    with Site(project) as site:
        with site.client() as client:
            page = client.get("/shop", headers=HTML, follow_redirects=True)
            assert page.status_code == 200
        with site.signed_in() as admin:
            home = admin.get("/admin/", headers=HTML).text
            assert "Shop Entries" in home
            assert 'class="fa-solid fa-table' in home
            assert "Add" in admin.get("/shop", headers=HTML).text
            token = {"csrf_token": form_token_of(admin, "/shop")}
            sent = admin.post("/shop", data={"title": "  ", **token}, headers=HTML)
            assert "Enter a title of 200 characters" in sent.text
            assert sent.status_code == 422
            assert admin.post("/shop", data={"title": "A pear\0", **token}, headers=HTML).status_code == 422
            assert admin.post("/shop", data={"title": "A <b>pear</b>", **token}, headers=HTML).status_code == 303
            assert "A &lt;b&gt;pear&lt;/b&gt;" in admin.get("/shop", headers=HTML).text
            assert admin.get("/admin/shop-entry/list", headers=HTML).status_code == 200


def test_a_project_without_the_demo_and_back(project: Path) -> None:
    fail(project, "oppdemo.py", "diff")
    fail(project, "oppdemo.py", "restore")
    upload = project / "static/uploads/photos/mine.jpg"
    upload.parent.mkdir(parents=True)
    upload.write_bytes(b"mine")
    assert "Saved" in succeed(project, "oppdemo.py", "save")
    assert "as in" in succeed(project, "oppdemo.py", "diff")
    (project / "demo/new.py").write_text("")
    assert json.loads(run_command(project, "oppdemo.py", "diff", "--json").stdout) == [
        {"kind": "added", "path": "new.py"}
    ]
    assert run_command(project, "oppdemo.py", "diff").returncode == 1
    assert "--yes" in fail(project, "oppdemo.py", "destroy")
    assert (project / "demo").exists()
    succeed(project, "oppdemo.py", "destroy", "--yes")
    assert not (project / "demo").exists()
    fail(project, "oppdemo.py", "destroy", "--yes")
    with Site(project) as site:
        with site.client() as client:
            assert client.get("/", headers=HTML).status_code == 200
            assert client.get("/login", headers=HTML).status_code == 200
            assert client.get("/database-demo", headers=HTML).status_code == 404
            assert client.get("/protected", headers=HTML).headers["location"] == "/login?next=/protected"
            assert client.get("/health").status_code == 200
        with site.signed_in() as admin:
            for page in ("/protected", "/oppman/", "/admin/", "/admin/user/list", "/database-status", "/docs"):
                assert admin.get(page, headers=HTML).status_code == 200, page
    succeed(project, "oppman.py", "check_users")
    succeed(project, "oppdemo.py", "restore")
    fail(project, "oppdemo.py", "restore")
    assert (project / "demo/new.py").exists()
    assert upload.read_bytes() == b"mine"
    operations = {backup["operation"] for backup in json.loads(succeed(project, "oppdemo.py", "backups", "--json"))}
    assert operations == {"save", "destroy"}
    with Site(project) as site, site.client() as client:
        assert client.get("/database-demo", headers=HTML).status_code == 200
        assert client.get("/api/products").json()["products"]


def test_clean(project: Path) -> None:
    (project / "README.md").write_text("# FastOpp\n")
    assert "--yes" in fail(project, "oppman.py", "clean", "--name", "Mine", "--author", "Me", "--description", "It is.")
    assert (project / "demo").exists()
    words = ("--yes", "--name", "Mine", "--author", 'M "E"')
    succeed(project, "oppman.py", "clean", *words)
    assert not (project / "demo").exists()
    assert (project / "oppdemo.py").exists(), "its init adds the sample data of apps to come"
    assert (project / "README.md").read_text().startswith("# Mine")
    assert 'title="Mine",' in (project / "main.py").read_text()
    assert "Nothing to clean" in fail(project, "oppman.py", "clean", *words), "README.md, docs and tests are the user's"
    assert tomllib.loads((project / "pyproject.toml").read_text())["project"]["authors"] == [{"name": 'M "E"'}]
    succeed(project, "oppman.py", "check_users")


@pytest.mark.parametrize("words", [("runserver",), ("production",)])
def test_serving(words: tuple[str, ...], project: Path) -> None:
    port = free_port()
    server = start_command(project, "oppman.py", *words, "--host", "127.0.0.1", "--port", str(port))
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/database-demo").status_code == 200
                break
            except httpx.TransportError:
                assert server.poll() is None, server.communicate()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        # A second one finds the port taken and ends; the first can be stopped all the same.
        said = fail(project, "oppman.py", *words, "--host", "127.0.0.1", "--port", str(port))
        assert f"Port {port} is in use" in said
        assert "FastOpp is at" not in said
        assert "stopped" in succeed(project, "oppman.py", "stopserver")
        out, err = server.communicate(timeout=PATIENCE)
        assert "Traceback" not in out + err
        if words[0] == "runserver":
            assert f"http://127.0.0.1:{port}" in out
    finally:
        server.kill()
        server.communicate()
    fail(project, "oppman.py", "stopserver")


def test_a_server_that_was_killed_leaves_a_number_that_may_be_anothers(project: Path) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    left = project / f".server.{stranger.pid}.pid"
    left.touch()
    try:
        assert "No server" in fail(project, "oppman.py", "stopserver")
        assert stranger.poll() is None
        assert not left.exists()
    finally:
        stranger.kill()
        stranger.wait()


def test_on_postgresql(tmp_path: Path, leapcell_environ: dict[str, str], pooler_url: str) -> None:
    """Behind the pooler, with the platform's settings."""
    project = copy_project(tmp_path / "project")
    environ = leapcell_environ | {"DATABASE_URL": pooler_url, "UPLOAD_DIR": str(tmp_path / "uploads")}
    succeed(project, "oppman.py", "migrate", "leapcell", environ=environ)
    succeed(project, "oppman.py", "migrate", "check", environ=environ)
    first = environ | {"SUPERUSER_PASSWORD": ""}
    made = succeed(project, "oppdemo.py", "init", environ=first)
    password = re.search(r"shown this once: (\S+)", made)
    assert password
    assert len(password[1]) >= 12
    assert "shown this once" not in succeed(project, "oppdemo.py", "init", environ=first)
    users = json.loads(succeed(project, "oppman.py", "list_users", "--json", environ=environ))
    assert [user["email"] for user in users] == ["admin@example.com"]  # nobody with a known password
    succeed(project, "oppman.py", "check_users", environ=environ)
    succeed(project, "oppman.py", "test_auth", environ=environ)
    succeed(project, "oppman.py", "migrate", "downgrade", "-1", environ=environ)
    succeed(project, "oppman.py", "migrate", environ=environ)
    assert "backups/database/" in succeed(project, "oppman.py", "backup", environ=environ)
    assert "provider" in fail(project, "oppman.py", "delete", "--yes", environ=environ)


WRONG = {
    "FASTOPP_PLATFORM": "leapcell",
    "PORT": "80000",
    "SECRET_KEY": "short",
    "DATABASE_URL": "mysql://u:hush-hush@h/d",
    "OPS_TOKEN": "tiny",
    "DEBUG": "perhaps",
}


@pytest.mark.parametrize(
    "words",
    [
        ("-m", "uvicorn", "main:app", "--port", "0"),
        ("oppman.py", "env"),
        ("oppman.py", "runserver"),
        ("oppdemo.py", "init"),
    ],
)
def test_a_wrong_configuration(words: tuple[str, ...], shared: Path) -> None:
    said = fail(shared, *words, status=2, environ=WRONG)
    for variable in set(WRONG) - {"FASTOPP_PLATFORM"}:
        assert variable in said, said
    assert "hush-hush" not in said
    assert "tiny" not in said
    assert "running on" not in said


def test_typical_mistakes(shared: Path, tmp_path: Path, plain_front: Any) -> None:
    for script in ("oppman.py", "oppdemo.py"):
        assert "nonsense" in fail(shared, script, "nonsense", status=2)
        assert "nonsense" in fail(shared, script, "--nonsense", status=2)
    assert "main.py" in fail(tmp_path, str(shared / "oppman.py"), "list_users")
    missing = {"DATABASE_URL": f"sqlite:///{tmp_path}/no/such/folder/test.db"}
    assert "folder" in fail(shared, "oppman.py", "list_users", environ=missing)
    assert "folder" in fail(shared, "oppman.py", "migrate", environ=missing)
    empty = {"DATABASE_URL": f"sqlite:///{tmp_path}/empty.db"}
    for command in ("list_users", "check_users", "test_auth", "superuser"):
        assert "migrate" in fail(shared, "oppman.py", command, environ=empty), command
    for command in ("products", "users", "registrants"):
        assert "migrate" in fail(shared, "oppdemo.py", command, environ=empty), command
    port = plain_front.port
    wrong = {"DATABASE_URL": f"postgresql://app:hush-hush@localhost:{port}/postgres", "DB_TIMEOUT": "3"}
    for words in (("oppman.py", "migrate"), ("oppman.py", "list_users"), ("oppdemo.py", "init")):
        said = fail(shared, *words, environ=wrong)
        assert "hush-hush" not in said
        assert "password" in said
    nowhere = {"DATABASE_URL": "postgresql://app:hush-hush@127.0.0.1:1/d", "DB_TIMEOUT": "3"}
    assert "reached" in fail(shared, "oppman.py", "migrate", environ=nowhere)


def test_a_broken_project(project: Path) -> None:
    main = project / "main.py"
    good = main.read_text()
    main.write_text(good.replace("demo.chat", "demo.typo"))
    assert "demo.typo" in fail(project, "oppman.py", "list_users", status=2)
    main.write_text("x = 1\n")
    assert "app = FastOpp" in fail(project, "oppman.py", "list_users")
    main.write_text(good)
    (project / "test.db").write_bytes(b"this is no database" * 100)
    for words in (("oppman.py", "list_users"), ("oppman.py", "migrate"), ("oppdemo.py", "init")):
        fail(project, *words)
