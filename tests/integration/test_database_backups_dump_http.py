"""The operator's backups: a download, Object Storage, and back again."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import tempfile
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
from sqlmodel import SQLModel, col, select

from fastopp.features.accounts.links import create_link
from fastopp.features.accounts.models import AccountLink, AuditLog, User, UserSession
from fastopp.features.database_backups import routes as database_backup
from fastopp.features.database_backups.dump.backup_file import write_file
from fastopp.features.database_backups.dump.dump import DatabaseDump
from fastopp.features.database_backups.dump.encryption import MAGIC, decrypt, encrypt
from tests.gate import full, only_full
from tests.services import forks, ops_project
from tests.services.ops_project import ADMIN, BEARER, LOOPBACK, PRODUCTION
from tests.services.s3 import ACCESS_KEY, SECRET_KEY

running = partial(ops_project.running, apps=["demo.users"])

BACKUP, RESTORE = "/admin/backup-database", "/admin/restore-database?confirm=RESTORE"
PASSWORD = "seventeen green teapots"
BACKUP_KEY = "backup-key-of-the-tests"


@pytest.fixture(params=["sqlite", "psycopg", *only_full("asyncpg")])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/test.db"
    return request.getfixturevalue("postgres_url").replace("postgresql://", f"postgresql+{request.param}://")


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path}/test.db"


@pytest.fixture
def s3(rclone):
    """The variables of an Object Storage."""
    return {
        "S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "S3_BUCKET": rclone.create_bucket(),
        "S3_ENDPOINT_URL": rclone.endpoint,
    }  # fmt: skip


async def emails(project):
    return {user.email for user in await project.all(User)}


async def change(project):
    """Something to be undone by a restore."""
    async with project.runtime.database.transaction() as session:
        (user,) = (await session.exec(select(User).where(col(User.email) == ADMIN[0]))).all()
        user.email = "somebody@else.test"
        session.add(user)


def leftovers():
    return list(Path(tempfile.gettempdir()).glob("fastopp-backup-*/database"))


async def plain(data, *secrets):
    return b"".join([piece async for piece in decrypt(once(data), secrets)])


async def once(data):
    yield data


async def test_a_backup_is_downloaded_and_restored(url, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with running(url, tmp_path, {"BACKUP_KEY": BACKUP_KEY}) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        before = await emails(project)
        answer = await client.post(BACKUP, headers=BEARER)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert ".fastopp.gz.enc" in answer.headers["content-disposition"]
        assert answer.content.startswith(MAGIC)
        assert (await plain(answer.content, BACKUP_KEY)).startswith(b"\x1f\x8b")

        await change(project)
        refused = await client.post(RESTORE, headers=BEARER, content=answer.content)
        assert refused.status_code == 409
        torn = await client.post(f"{RESTORE}&force=true", headers=BEARER, content=answer.content[:-1])
        assert torn.status_code == 400
        assert await emails(project) != before
        done = await client.post(f"{RESTORE}&force=true", headers=BEARER, content=answer.content)
        assert done.status_code == 200, done.text
        assert done.json()["rows"]["users"] == len(before)
        assert await emails(project) == before
    assert not leftovers()


async def test_a_restore_ends_all_sessions(url, tmp_path):
    """What was revoked after the backup must not come back."""
    async with running(url, tmp_path, PRODUCTION | {"SUPERUSER_PASSWORD": PASSWORD}) as project:
        async with project.client() as client:
            await client.post("/async/init-demo", headers=BEARER)
        async with project.signed_in(ADMIN[0], PASSWORD) as browser, project.client() as client:
            made = await browser.post("/account/tokens", json={"name": "robot", "scopes": ["read"]})
            program = {"Authorization": f"Bearer {made.json()['token']}"}
            async with project.runtime.database.transaction() as session:
                user = (await session.exec(select(User).where(col(User.email) == ADMIN[0]))).one()
                await create_link(session, "reset password", user=user, lifetime=timedelta(days=1))
            data = (await client.post(BACKUP, headers=BEARER)).content
            assert (await browser.get("/account/sessions")).status_code == 200
            assert (await client.get("/account/sessions", headers=program)).status_code == 200
            done = await client.post(f"{RESTORE}&force=true", headers=BEARER, content=data)
            assert done.status_code == 200, done.text
            assert done.json()["ended_sessions"] == 2
            assert (await browser.get("/account/sessions")).status_code == 401
            assert (await client.get("/account/sessions", headers=program)).status_code == 401
            assert await project.all(UserSession) == []
            assert await project.all(AccountLink) == []
            assert all(user.old_tokens_ended_at for user in await project.all(User))
        async with project.signed_in(ADMIN[0], PASSWORD):
            pass


async def test_with_object_storage_the_backup_goes_there(sqlite_url, tmp_path, rclone, s3):
    async with running(sqlite_url, tmp_path, s3) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        before = await emails(project)
        answers = [await client.post(BACKUP, headers=BEARER) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
        told = answers[0].json()
        assert told["status"] == "success"
        assert told["rows"]["users"] == len(before)
        stored = (rclone.bucket(s3["S3_BUCKET"]) / told["key"]).read_bytes()
        assert len(stored) == told["bytes"]
        assert stored.startswith(MAGIC)
        assert ADMIN[0].encode() not in stored

        listed = (await client.get(BACKUP, headers=BEARER)).json()["backups"]
        assert [backup["key"] for backup in listed] == [answer.json()["key"] for answer in reversed(answers)]
        await change(project)
        done = await client.post(f"{RESTORE}&force=true&key={told['key']}", headers=BEARER)
        assert done.status_code == 200, done.text
        assert await emails(project) == before
        missing = await client.post(f"{RESTORE}&force=true&key=backups/none.enc", headers=BEARER)
        assert missing.status_code == 404


async def test_another_key_is_refused_in_words(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path, {"BACKUP_KEY": BACKUP_KEY}) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        backup = (await client.post(BACKUP, headers=BEARER)).content
    async with running(sqlite_url, tmp_path) as project, project.client() as client:
        answer = await client.post(f"{RESTORE}&force=true", headers=BEARER, content=backup)
        assert answer.status_code == 400
        assert "BACKUP_KEY" in answer.text


async def dump_of(project, target):
    """A dump of the project's database that is not encrypted, as anybody could write one."""
    await write_file(target, DatabaseDump(project.runtime.database.url, SQLModel.metadata).chunks())
    return target.read_bytes()


async def test_over_http_a_dump_must_be_encrypted_with_a_key_of_the_project(sqlite_url, tmp_path, s3):
    async with running(sqlite_url, tmp_path, s3 | {"BACKUP_KEY": BACKUP_KEY}) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        before = await emails(project)
        dump = await dump_of(project, tmp_path / "plain.gz")
        await change(project)
        changed = await emails(project)
        foreign = b"".join([piece async for piece in encrypt(once(dump), "a key of somebody else's")])
        for body in (dump, foreign, MAGIC, MAGIC + dump, dump[:10], b"", b"SQLite format 3\0"):
            answer = await client.post(f"{RESTORE}&force=true", headers=BEARER, content=body)
            assert answer.status_code == 400, answer.text
        for name, body in (("plain.fastopp.gz.enc", dump), ("foreign.fastopp.gz.enc", foreign)):
            await database_backup.object_storage(project.runtime).put(
                f"backups/{name}", body, content_type="application/octet-stream"
            )
            answer = await client.post(f"{RESTORE}&force=true&key=backups/{name}", headers=BEARER)
            assert answer.status_code == 400, answer.text
        assert await emails(project) == changed
        for key in (BACKUP_KEY, project.runtime.settings.secret_key.get_secret_value()):
            sealed = b"".join([piece async for piece in encrypt(once(dump), key)])
            answer = await client.post(f"{RESTORE}&force=true", headers=BEARER, content=sealed)
            assert answer.status_code == 200, answer.text
            assert await emails(project) == before


async def test_a_restore_is_in_the_audit_log_that_it_brings(url, tmp_path, caplog):
    async with running(url, tmp_path) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        backup = (await client.post(BACKUP, headers=BEARER)).content
        await client.post(f"{RESTORE}&force=true", headers=BEARER, content=backup)
        (entry,) = [entry for entry in await project.all(AuditLog) if entry.action == "restore"]
        told = json.loads(entry.changes)
        assert told["by"] == "OPS_TOKEN"
        assert told["source"] == "request body"
        assert told["sha256"] == hashlib.sha256(backup).hexdigest()
        assert told["rows"] > 0
        assert entry.ip_address == "203.0.113.9"
        async with project.signed_in() as browser:
            done = await browser.post(f"{RESTORE}&force=true", content=backup)
            assert done.status_code == 200, done.text
        (entry,) = [entry for entry in await project.all(AuditLog) if entry.action == "restore"]
        assert json.loads(entry.changes)["by"] == ADMIN[0]
        assert [record.by for record in caplog.records if getattr(record, "action", "") == "database_restored"] == [
            "OPS_TOKEN",
            ADMIN[0],
        ]


async def test_backups_are_for_operators_only(sqlite_url, tmp_path, s3):
    environ = s3 | {"STORAGE_TYPE": "s3"}
    async with running(sqlite_url, tmp_path, environ) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        key = (await client.post(BACKUP, headers=BEARER)).json()["key"]
        await project.runtime.storage.put("photos/a.txt", b"a file", content_type="text/plain")
        assert (await client.get("/static/uploads/photos/a.txt")).status_code == 200
        for path in (key, key.upper(), f"x/../{key}", key.replace("/", "%2f"), key.replace("b", "%62", 1)):
            for method in ("GET", "HEAD"):
                answer = await client.request(method, f"/static/uploads/{path}")
                assert answer.status_code in (400, 404), (method, path)
        assert (await client.get(BACKUP, params={"key": key})).status_code == 401
        given = await client.get(BACKUP, params={"key": key}, headers=BEARER)
        assert (given.status_code, given.headers["cache-control"]) == (307, "no-store")
        async with httpx.AsyncClient() as anyone:
            assert (await anyone.get(given.headers["location"])).content.startswith(MAGIC)
        for other in ("photos/a.txt", "backups/none.fastopp.gz.enc"):
            assert (await client.get(BACKUP, params={"key": other}, headers=BEARER)).status_code == 404


async def test_a_dump_may_be_larger_than_other_bodies(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path) as project, project.client() as client:
        answer = await client.post(RESTORE, headers=BEARER, content=bytes(9 * 1024 * 1024))
        assert answer.status_code == 400, answer.text  # it is no dump, and read to its end to find out


async def test_only_operators_may(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path, PRODUCTION) as project:
        for address in (LOOPBACK, "203.0.113.9"):
            async with project.client(address) as client:
                for method, path in (("POST", BACKUP), ("GET", BACKUP), ("POST", RESTORE)):
                    assert (await client.request(method, path)).status_code == 401, path
                assert (await client.post("/admin/restore-database", headers=BEARER)).status_code == 422
                assert (await client.post("/admin/restore-database?confirm=yes", headers=BEARER)).status_code == 422


async def test_a_signed_in_superuser_may_with_the_form_token_only(sqlite_url, tmp_path):
    async with running(sqlite_url, tmp_path) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        async with project.signed_in() as browser:
            assert (await browser.post(BACKUP)).status_code == 200
            del browser.headers["X-CSRF-Token"]
            assert (await browser.post(BACKUP)).status_code == 403


async def test_a_backup_that_is_too_big_for_the_platform_is_refused(sqlite_url, tmp_path):
    leapcell = {"FASTOPP_PLATFORM": "leapcell"} | PRODUCTION
    async with running(sqlite_url, tmp_path, leapcell) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        assert (await client.post(BACKUP, headers=BEARER)).status_code == 200
        async with project.runtime.database.transaction() as session:
            for number in range(2):  # in several rows, each of which a dump takes
                noise = base64.b64encode(os.urandom(3 * 1024 * 1024)).decode()
                session.add(User(email=f"big-{number}@example.com", hashed_password=noise))
        answer = await client.post(BACKUP, headers=BEARER)
        assert answer.status_code == 507
        assert "S3_BUCKET" in answer.text


async def test_a_backup_that_takes_too_long_is_given_up(sqlite_url, tmp_path, monkeypatch):
    async with running(sqlite_url, tmp_path) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        monkeypatch.setattr(database_backup, "TIME_BUDGET", 0.0)
        late = await client.post(BACKUP, headers=BEARER)
        assert late.status_code == 503
        assert "in time" in late.text


async def test_the_database_is_not_there(tmp_path):
    nowhere = "postgresql://a:hush-hush@127.0.0.1:1/d?sslmode=disable"
    async with running(nowhere, tmp_path) as project, project.client() as client:
        answer = await client.post(BACKUP, headers=BEARER)
        assert answer.status_code == 503
        assert "hush" not in answer.text


# The commands


def oppman(folder, *words, status=0, **environ):
    """Run oppman.py on this project, elsewhere; what it says."""
    root = Path(__file__).parents[2]
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environ = kept | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"} | environ
    for name in ("main.py", "alembic"):
        if not (folder / name).exists():
            (folder / name).symlink_to(root / name)
    done = forks.run([root / "oppman.py", *words], cwd=folder, env=environ, text=True)
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@full
async def test_the_commands_from_sqlite_to_postgresql_and_back(tmp_path, postgres_url, rclone, s3):
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path, apps=["demo.users", "demo.products"]) as project:
        async with project.client() as client:
            await client.post("/async/init-demo", headers=BEARER)
        before = await emails(project)

    def run(*words, **options):
        return asyncio.to_thread(oppman, tmp_path, *words, **options)

    there = {"DATABASE_URL": postgres_url}
    assert "test.db.2" in await run("backup")
    (copy,) = tmp_path.glob("test.db.2*")
    assert "row(s)" in await run("backup", "plain.gz")
    assert "row(s)" in await run("backup", "sealed", "--encrypt", BACKUP_KEY=BACKUP_KEY)
    assert (tmp_path / "sealed").read_bytes().startswith(MAGIC)
    assert "BACKUP_KEY" in await run("restore", "sealed", status=1, **there)
    assert "restored" in await run("restore", "sealed", BACKUP_KEY=BACKUP_KEY, **there)
    assert "--force" in await run("restore", "plain.gz", status=1, **there)
    assert "--yes" in await run("restore", "plain.gz", "--force", status=1, **there)
    assert "restored" in await run("restore", copy.name, "--force", "--yes", **there)  # a plain SQLite file as well
    said = await run("backup", "--upload", **there, **s3)
    assert "backups/2" in said
    (uploaded,) = (rclone.bucket(s3["S3_BUCKET"]) / "backups").iterdir()
    assert uploaded.read_bytes().startswith(MAGIC)
    assert "backups/database/2" in await run("backup", **there)
    (dumped,) = (tmp_path / "backups/database").iterdir()
    (tmp_path / "test.db").unlink()
    assert "restored" in await run("restore", dumped)
    async with running(f"sqlite:///{tmp_path}/test.db", tmp_path) as project:
        assert await emails(project) == before
    assert "cannot be read" in await run("restore", "nothing", status=1)
    assert "not a dump" in await run("restore", "main.py", status=1)
    assert "S3_ACCESS_KEY" in await run("backup", "--upload", status=1)


async def test_only_the_newest_stay_when_asked(sqlite_url, s3, rclone, tmp_path):
    folder = rclone.bucket(s3["S3_BUCKET"]) / "backups"
    folder.mkdir()
    for day in (1, 2):
        (folder / f"2025010{day}_000000_000000-{day:032x}.fastopp.gz.enc").write_bytes(b"old")
    async with running(sqlite_url, tmp_path, s3) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        assert (await client.post(BACKUP, headers=BEARER)).json()["deleted"] == []
        answer = (await client.post(f"{BACKUP}?keep=2", headers=BEARER)).json()
        assert [key[:18] for key in answer["deleted"]] == ["backups/20250102_0", "backups/20250101_0"]
        left = (await client.get(BACKUP, headers=BEARER)).json()["backups"]
        assert len(left) == 2
        assert left[0]["key"] == answer["key"]
        assert (await client.post(f"{BACKUP}?keep=0", headers=BEARER)).status_code == 422


@pytest.mark.parametrize("end", ["the client leaves", "SIGTERM"])
async def test_a_restore_ends_with_who_waits_for_it(sqlite_url, tmp_path, monkeypatch, end):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with running(sqlite_url, tmp_path, {"BACKUP_KEY": BACKUP_KEY}) as project, project.client() as client:
        await client.post("/async/init-demo", headers=BEARER)
        backup = (await client.post(BACKUP, headers=BEARER)).content
        began, cancelled = asyncio.Event(), asyncio.Event()

        async def endless(*_args, **_options):
            began.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        monkeypatch.setattr("fastopp.features.database_backups.dump.restore.restore", endless)
        left, answers = asyncio.Event(), []
        body = [{"type": "http.request", "body": backup, "more_body": False}]

        async def receive():
            if body:
                return body.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            answers.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/admin/restore-database", "raw_path": b"", "root_path": "",
            "query_string": b"confirm=RESTORE&force=true", "http_version": "1.1", "scheme": "http",
            "headers": [(b"authorization", BEARER["Authorization"].encode()), (b"host", b"site.test")],
            "client": ("203.0.113.9", 1), "server": ("site.test", 80), "asgi": {"version": "3.0"},
        }  # fmt: skip
        usual = signal.signal(signal.SIGTERM, lambda *_: None)
        try:
            serving = asyncio.create_task(project.asgi(scope, receive, send))
            await asyncio.wait_for(began.wait(), 30)
            if end == "SIGTERM":
                signal.raise_signal(signal.SIGTERM)
            else:
                left.set()
            await asyncio.wait_for(serving, 5)
        finally:
            signal.signal(signal.SIGTERM, usual)
        assert cancelled.is_set()
        assert [message["status"] for message in answers if "status" in message] == ([503] if end == "SIGTERM" else [])
    assert not leftovers()
