"""The framework's own tasks: repeated, interrupted and continued, at a real Object Storage."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from fastopp.features.jobs import tasks as cleaning
from fastopp.storage.evidence import discard
from fastopp.tasks.context import TaskContext
from fastopp.tasks.wake_tokens import WakeClaims, issue_token, read_token
from tests.gate import each_database, only_full
from tests.services.ops_project import BEARER, PRODUCTION
from tests.services.s3 import ACCESS_KEY, SECRET_KEY
from tests.services.s3_faults import Fault, FaultProxy
from tests.services.tasks_project import running_tasks


@pytest.fixture(params=["sqlite", *only_full("psycopg")])
def url(request, tmp_path):
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/test.db"
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.create_database()
    yield postgres.url(name)
    postgres.drop_database(name)


def object_storage(endpoint, bucket):
    return {
        "S3_ACCESS_KEY": ACCESS_KEY,
        "S3_SECRET_KEY": SECRET_KEY,
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": endpoint,
    }


@pytest.fixture
def bucket(rclone):
    return rclone.create_bucket()


@pytest.fixture
def uploads(tmp_path):
    folder = tmp_path / "uploads" / "photos"
    folder.mkdir(parents=True)
    for number in range(40):
        (folder / f"{number}.jpg").write_bytes(bytes([number]) * 1000)
    return folder


@pytest.fixture
async def project(url, tmp_path, rclone, bucket, uploads):
    environ = object_storage(rclone.endpoint, bucket) | PRODUCTION
    async with running_tasks(url, tmp_path, environ) as project:
        yield project


@pytest.fixture
async def client(project):
    async with project.client(headers=BEARER) as client:
        assert (await client.post("/async/migrate")).status_code == 200
        assert (await client.post("/async/drain")).status_code == 200  # the periodic tasks of the present day
        yield client


async def execute(project, *statements):
    async with project.runtime.database.transaction() as session:
        connection = await session.connection()
        for statement in statements:
            result = await connection.execute(text(statement))
        return result.scalar() if result.returns_rows else result.rowcount


async def test_files_there_and_back(client, uploads):
    done = await client.post("/async/backup-files")
    assert done.status_code == 200, done.text
    assert done.json()["details"]["copied"] == 40
    assert done.json()["details"]["bytes"] == 40_000
    task = (await client.get(f"/async/tasks/{done.json()['task_id']}")).json()
    assert (task["done"], task["total"]) == (40, 40)
    assert task["result"]["copied"] == 40
    assert task["message"] == "40 files backed up, 0 were there already."
    again = await client.post("/async/backup-files")
    assert (again.json()["details"]["copied"], again.json()["details"]["skipped"]) == (0, 40)

    (uploads / "3.jpg").unlink()
    (uploads / "4.jpg").write_bytes(b"newer")
    os.utime(uploads / "4.jpg", (time.time() + 10, time.time() + 10))
    back = await client.post("/async/restore-files")
    assert back.status_code == 200, back.text
    assert back.json()["details"]["copied"] == 1
    assert (uploads / "4.jpg").read_bytes() == b"newer"
    back = await client.post("/async/restore-files", json={"overwrite": True})
    assert back.json()["details"]["copied"] == 1
    assert (uploads / "4.jpg").read_bytes() == bytes([4]) * 1000
    assert (await client.post("/async/restore-files", json={"overwrite": "maybe"})).status_code == 422


async def test_the_service_queues_them(project, client):
    async with project.runtime.database.transaction() as session:
        tasks = project.runtime.tasks.within(session)
        queued = [await tasks.queue_backup_task(), await tasks.queue_restore_task(), await tasks.queue_init_task()]
    drained = await client.post("/async/drain")
    assert (drained.status_code, drained.json()["details"]["done"]) == (200, 2)
    states = [(await client.get(f"/async/tasks/{task.id}")).json()["status"] for task in queued]
    assert states == ["succeeded", "succeeded", "failed"]  # nobody could be told the first superuser's password


async def test_files_that_fail_are_told_and_tried_again(tmp_path, rclone, bucket, uploads):
    with FaultProxy(rclone) as proxy:
        environ = object_storage(proxy.endpoint, bucket)
        async with (
            running_tasks(f"sqlite:///{tmp_path}/test.db", tmp_path, environ) as project,
            project.client(headers=BEARER) as client,
        ):
            await client.post("/async/migrate")
            proxy.faults.append(Fault("PUT", times=2, refuse=(403, "AccessDenied")))
            first = await client.post("/async/backup-files")
            assert first.status_code == 503, first.text
            assert first.json()["details"]["failed_count"] == 2
            assert "retry-after" in first.headers
            second = await client.post("/async/backup-files")
            assert second.status_code == 200, second.text
            assert second.json()["task_id"] == first.json()["task_id"]
            assert (second.json()["details"]["copied"], second.json()["details"]["skipped"]) == (2, 38)


@each_database
async def test_a_backup_of_the_database(client, rclone, bucket):
    done = await client.post("/async/backup-database")
    assert done.status_code == 200, done.text
    details = done.json()["details"]
    stored = rclone.bucket(bucket) / details["key"]
    assert stored.stat().st_size == details["bytes"]
    assert details["rows"]["users"] == 0
    # The queue is not in it: brought back, this very task would begin anew.
    assert not [name for name in details["rows"] if name.startswith(("procrastinate", "task_"))]
    listed = (await client.get("/admin/backup-database")).json()["backups"]
    assert [backup["key"] for backup in listed] == [details["key"]]
    back = await client.post(f"/admin/restore-database?confirm=RESTORE&force=1&key={details['key']}")
    assert back.status_code == 200, back.text
    assert (await client.get(f"/async/tasks/{done.json()['task_id']}")).json()["status"] == "succeeded"


async def test_only_the_newest_backups_are_kept(project, client, rclone, bucket):
    for number in range(3):
        done = await client.post("/async/backup-database", json={"keep": 2})
        assert done.status_code == 200, done.text
        assert len(done.json()["details"]["deleted"]) == (number == 2)
    left = {path.name for path in (rclone.bucket(bucket) / "backups").iterdir()}
    assert len(left) == 2
    assert done.json()["details"]["key"].removeprefix("backups/") in left
    queued = await project.runtime.tasks.queue("backup-database", keep=1)  # as a time table of an app's does
    assert (await client.post("/async/drain")).status_code == 200
    assert (await client.get(f"/async/tasks/{queued.id}")).json()["status"] == "succeeded"
    assert len(list((rclone.bucket(bucket) / "backups").iterdir())) == 1
    nonsense = await client.post("/async/backup-database", json={"keep": 0})
    assert nonsense.status_code == 422, nonsense.text
    assert (await client.post("/async/backup-database")).json()["details"]["deleted"] == []


async def test_a_backup_that_arrived_is_not_made_again(project, client, rclone, bucket):
    """The process dies after the dump has arrived and before that is written down."""
    first = (await client.post("/async/backup-database")).json()
    place = f"""'{{"key": "{first["details"]["key"]}"}}'"""
    await execute(
        project,
        "UPDATE procrastinate_jobs SET status = 'todo' WHERE task_name = 'backup-database'",
        f"UPDATE task_runs SET place = {place} WHERE job_id = {first['task_id']}",
    )
    second = (await client.post("/async/backup-database")).json()
    assert second["task_id"] == first["task_id"]
    assert second["details"]["key"] == first["details"]["key"]
    assert second["details"]["bytes"] == first["details"]["bytes"]
    assert len(list((rclone.bucket(bucket) / "backups").iterdir())) == 1


async def test_an_init_goes_on_where_it_stopped(project, client):
    """The place of an init that was killed after its first two steps."""
    steps = '[{"step": "One", "name": "db", "status": "success", "message": "Done before."},'
    steps += ' {"step": "Two", "name": "superuser", "status": "success", "message": "Done before."}]'
    task = (await client.post("/async/init-demo?enqueue=1")).json()["task_id"]
    await execute(
        project,
        f"INSERT INTO task_runs (job_id, done, message, error, place, updated_at) "
        f"""VALUES ({task}, 2, '', '', '{{"outcomes": {steps}}}', CURRENT_TIMESTAMP)""".replace(":", r"\:"),
    )
    done = (await client.post("/async/init-demo")).json()
    assert done["task_id"] == task
    results = done["details"]["results"]
    assert [step["message"] for step in results][:2] == ["Done before."] * 2
    assert len(results) > 2
    assert await execute(project, "SELECT count(*) FROM users") == 0  # it was not tried again


@each_database
async def test_cleaning_up(project, client, tmp_path, monkeypatch):
    monkeypatch.setattr(cleaning, "LOOKED_AT", 3)
    path = str(tmp_path / "notes")
    ids = [(await client.post("/async/note", json={"path": path})).json()["task_id"] for _ in range(8)]
    failed = (await client.post("/async/fails", json={"path": path})).json()["task_id"]
    waiting = (await client.post("/async/note?enqueue=1", json={"path": path})).json()["task_id"]
    old = "'2020-01-01 00:00:00.000000'" if "sqlite" in str(project.runtime.database.url) else "'2020-01-01'"
    gone = [*ids[:5], failed]
    listed = ", ".join(map(str, [*gone, waiting]))
    await execute(project, f"UPDATE procrastinate_events SET at = {old} WHERE job_id IN ({listed})".replace(":", r"\:"))
    settings = project.runtime.settings
    claims = WakeClaims(project.runtime.database)
    await claims.take(read_token(issue_token(settings), settings))
    await execute(project, f"UPDATE task_wakes SET expires_at = {old}".replace(":", r"\:"))

    done = await client.post("/async/clean-up")
    assert done.status_code == 200, done.text
    accounts = ("sessions", "links", "audit_entries", "deleted_accounts")
    kinds = (*accounts, "incidents", "cached_values", "errors", "mails", "files")
    assert done.json()["details"] == {"jobs": 6, **dict.fromkeys(kinds, 0)}
    assert done.json()["message"] == "Removed: 6 jobs."
    left = {task["id"] for task in (await client.get("/async/tasks")).json()["tasks"]}
    assert left >= {*ids[5:], waiting, done.json()["task_id"]}
    assert left.isdisjoint(gone)
    assert await execute(project, "SELECT count(*) FROM task_wakes") == 0
    listed = ", ".join(map(str, gone))
    assert await execute(project, f"SELECT count(*) FROM task_runs WHERE job_id IN ({listed})") == 0
    again = await client.post("/async/clean-up", json={"keep_days": 3000})
    assert again.json()["details"] == {"jobs": 0, **dict.fromkeys(kinds, 0)}


async def test_cleaning_up_goes_on_where_its_time_was_up(project, client, tmp_path, monkeypatch):
    monkeypatch.setattr(cleaning, "LOOKED_AT", 3)
    for _ in range(8):
        await client.post("/async/note", json={"path": str(tmp_path / "notes")})
    looked_after, remove_next = [], cleaning._remove_next

    async def noting(session, keep_days, *, after):
        looked_after.append(after)
        return await remove_next(session, keep_days, after=after)

    stops = iter([False, True])
    monkeypatch.setattr(cleaning, "_remove_next", noting)
    monkeypatch.setattr(TaskContext, "should_stop", lambda _context: next(stops, False))
    while (answer := await client.post("/async/clean-up")).json()["status"] != "success":
        assert len(looked_after) < 10, answer.text
    assert looked_after == sorted(set(looked_after))
    assert len(looked_after) > 3


async def test_cleaning_up_files(project, client, uploads):
    """Files that no row names stay, old as they are; those that were given up go."""
    for path in uploads.iterdir():
        os.utime(path, (0, 0))
    assert (await client.post("/async/clean-up")).json()["details"]["files"] == 0
    async with project.runtime.database.engine.begin() as connection:
        await connection.run_sync(discard, [f"photos/{number}.jpg" for number in range(3)], datetime.now(UTC))
    done = await client.post("/async/clean-up")
    assert done.json()["details"]["files"] == 3
    assert len(list(uploads.iterdir())) == 37


async def test_they_are_known(project):
    known = {task.name: task for task in project.runtime.tasks.known}
    own = {"init-demo", "backup-files", "restore-files", "backup-database", "migrate", "clean-up"}
    assert own <= known.keys()
    for name in own:
        assert known[name].lock == known[name].queueing_lock == name
        assert known[name].description
    assert known["clean-up"].schedules
