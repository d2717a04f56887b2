"""/metrics: what Prometheus reads, computed by SQLite and by PostgreSQL."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import insert

from fastopp.features.jobs.durations import durations
from fastopp.tasks.models import events, jobs, workers
from tests.gate import each_database, only_full
from tests.services.databases import url_on
from tests.services.migrations import migrated
from tests.services.ops_project import BEARER, Project, running
from tests.services.task_app import write_app

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}

url = url_on("sqlite", *only_full("psycopg", "asyncpg"))
migrated_url = url_on("sqlite", *only_full("psycopg", "asyncpg"), fill=migrated)


@pytest.fixture
async def project(migrated_url, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    monkeypatch.syspath_prepend(folder)
    app = write_app(folder, f"metered_{tmp_path.name}".replace("-", "_"))
    async with running(migrated_url, tmp_path, apps=[app]) as project:
        yield project


async def scrape(project: Project) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels."""
    async with project.client() as client:
        answer = await client.get("/metrics", headers=BEARER)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def put(
    project: Project, name: str, seconds: float, *, ended: timedelta = timedelta(), status: str = "succeeded"
):
    """A job that took so long and ended so long ago."""
    end = datetime.now(UTC) - ended
    async with project.runtime.database.transaction() as session:
        connection = await session.connection()
        # Put in at its end, so that no trigger writes events of the present.
        row = {"queue_name": "default", "task_name": name, "priority": 0, "args": {}, "attempts": 1,
               "abort_requested": False, "status": status}  # fmt: skip
        job = (await connection.execute(insert(jobs).values(row).returning(jobs.c.id))).scalar_one()
        for kind, moment in (("started", end - timedelta(seconds=seconds)), (status, end)):
            await connection.execute(insert(events).values(job_id=job, type=kind, at=moment))


async def test_for_operators_only(project):
    async with project.client() as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": "Bearer wrong"})).status_code == 401
        openmetrics = BEARER | {"Accept": "application/openmetrics-text; version=1.0.0"}
        answer = await client.get("/metrics", headers=openmetrics)
        assert answer.headers["content-type"].startswith("application/openmetrics-text")
        assert answer.text.endswith("# EOF\n")
        assert answer.headers["cache-control"] == "no-store"


@each_database
async def test_strict_parsers_read_all_of_it(project):
    """In place of `promtool check metrics`: both formats, names and units by convention, and no series twice."""
    async with project.client() as client:
        head = await client.head("/metrics", headers=BEARER)
        assert (head.status_code, head.content) == (200, b"")
        await client.get("/nothing")
        await project.runtime.tasks.queue("add")
        await project.runtime.tasks.queue("break")
        await project.runtime.tasks.drain(timedelta(seconds=20))
        await put(project, "counted", 1)
        await project.runtime.flusher.flush()
        plain = (await client.get("/metrics", headers=BEARER)).text
        openmetrics = (await client.get("/metrics", headers=BEARER | {"Accept": OPENMETRICS})).text
    families = [*text_string_to_metric_families(plain)]
    strict = [*parse_openmetrics(openmetrics)]
    assert {family.name for family in families} == {family.name for family in strict}
    assert len(families) == len({family.name for family in families}) > 20
    for what in ("HELP", "TYPE"):
        named = [line.split()[2] for line in plain.splitlines() if line.startswith(f"# {what} ")]
        assert len(named) == len({*named}) >= len(families)
    samples = [line.rpartition(" ")[0] for line in plain.splitlines() if not line.startswith("#")]
    assert len(samples) == len({*samples})
    for family in strict:
        assert family.documentation
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert ":" not in family.name
        assert family.type != "histogram" or family.name.endswith(("_seconds", "_bytes"))
        for sample in family.samples:
            suffix = sample.name.removeprefix(family.name)
            assert suffix in SUFFIXES[family.type]
            assert all(re.fullmatch(r"[a-z_]+", label) for label in sample.labels)
            assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|kilobytes|percent)(_|$)", sample.name)
    assert {family.type for family in strict} == {*SUFFIXES}
    sent = {
        (sample.labels["http_request_method"], sample.labels["http_route"]): sample.value
        for family in strict if family.name == "http_server_response_body_bytes"
        for sample in family.samples
    }  # fmt: skip
    assert (sent["HEAD", "/metrics"], sent["GET", "(none)"] > 0) == (0, True)


@each_database
async def test_counts_ages_and_workers(project):
    before = await scrape(project)
    assert before["fastopp_tasks_oldest_waiting_seconds",] == 0
    assert before["fastopp_tasks_stalled",] == 0
    await project.runtime.tasks.queue("add")
    await project.runtime.tasks.queue("add")
    await project.runtime.tasks.later(timedelta(hours=1)).queue("break")
    async with project.runtime.database.transaction() as session:
        connection = await session.connection()
        long_ago = datetime.now(UTC) - timedelta(hours=1)
        gone = await connection.execute(insert(workers).values(last_heartbeat=long_ago).returning(workers.c.id))
        row = {"queue_name": "default", "task_name": "slow", "priority": 0, "args": {}, "attempts": 0,
               "abort_requested": False, "status": "doing", "worker_id": gone.scalar_one()}  # fmt: skip
        await connection.execute(insert(jobs).values(row))
    figures = await scrape(project)
    assert figures["fastopp_tasks", "default", "waiting", "add"] == 2
    assert figures["fastopp_tasks", "weak", "scheduled", "break"] == 1
    assert figures["fastopp_tasks", "default", "running", "slow"] == 1
    assert 0 <= figures["fastopp_tasks_oldest_waiting_seconds",] < 60
    assert figures["fastopp_tasks_stalled",] == 1
    assert figures["fastopp_task_workers",] == before["fastopp_task_workers",]
    assert figures["process_resident_memory_bytes", project.runtime.recorder.instance] > 1e6


@each_database
async def test_durations_of_the_last_hour(project):
    for seconds in range(1, 101):
        await put(project, "counted", seconds)
    await put(project, "counted", 1000, ended=timedelta(hours=2))
    await put(project, "broken", 0.25, status="failed")
    await put(project, "broken", 0.75)
    figures = await scrape(project)
    assert figures["fastopp_tasks_ended_1h", "counted"] == 100
    assert figures["fastopp_tasks_failed_1h", "counted"] == 0
    assert figures["fastopp_tasks_duration_seconds_sum_1h", "counted"] == pytest.approx(5050, abs=0.1)
    quantiles = [figures["fastopp_tasks_duration_seconds_1h", q, "counted"] for q in ("0.5", "0.9", "0.99", "1")]
    assert quantiles == pytest.approx([50, 90, 99, 100], abs=0.01)
    assert figures["fastopp_tasks_ended_1h", "broken"] == 2
    assert figures["fastopp_tasks_failed_1h", "broken"] == 1
    assert figures["fastopp_tasks_duration_seconds_1h", "0.5", "broken"] == pytest.approx(0.25, abs=0.01)


async def test_a_job_that_ended_twice_is_counted_by_its_last_try(project):
    await put(project, "twice", 5, status="failed")
    async with project.runtime.database.transaction() as session:
        connection = await session.connection()
        job = max(row.id for row in (await connection.execute(jobs.select())).all())
        end = datetime.now(UTC) + timedelta(seconds=1)
        for kind, moment in (("started", end - timedelta(milliseconds=500)), ("succeeded", end)):
            await connection.execute(insert(events).values(job_id=job, type=kind, at=moment))
    async with project.runtime.database.read() as session:
        (twice,) = [each for each in await durations(session) if each.task == "twice"]
    assert (twice.count, twice.quantiles[100]) == (1, pytest.approx(0.5, abs=0.01))


async def test_without_tables_it_says_so(url, tmp_path):
    async with running(url, tmp_path) as project, project.client() as client:
        answer = await client.get("/metrics", headers=BEARER)
        assert answer.status_code == 503
