"""The kept figures: batches are added up once, in each period and the total, whichever instance writes them."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from fastopp.features.monitor.flush import describe_instance
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance, MonitorStatement
from fastopp.features.monitor.periods import FOUR_HOURS, HOUR
from fastopp.features.monitor.writing import write
from fastopp.recorder import Recorder
from fastopp.recording import BOUNDS, Batch, Figures, Key, Statement, Work
from fastopp.testing.clock import ManualClock
from tests.services.databases import url_on
from tests.services.migrations import migrated
from tests.services.ops_project import running

url = url_on("sqlite", "psycopg", fill=migrated)

PAGE = Key("request", "/", "GET", "200")


@pytest.fixture
async def project(url, tmp_path):
    async with running(url, tmp_path) as project:
        yield project


def batch(number: int, *seconds: float, since: int = 600, key: Key = PAGE) -> Batch:
    figures = Figures()
    for each in seconds:
        work = Work(key.kind)
        work.seconds, work.queries, work.bytes, work.database_seconds = each, 2, 10, each / 2
        figures.add(work)
    return Batch(number, {(since, key): figures}, {})


async def rows(project, period: int) -> dict[tuple[int, str], MonitorFigures]:
    return {(row.since, row.name): row for row in await project.all(MonitorFigures) if row.period == period}


async def test_batches_are_added_up(project):
    database, one, other = project.runtime.database, describe_instance(project.runtime), {"id": "other"}
    other = describe_instance(project.runtime) | {"id": "other"}
    await write(database, batch(1, 0.0005, 3.0), one)
    await write(database, batch(1, 1000.0), other)
    await write(database, batch(2, 0.1, since=660), one)
    minutes, totals = await rows(project, 60), await rows(project, 0)
    assert {place: row.count for place, row in minutes.items()} == {(600, "/"): 3, (660, "/"): 1}
    total = totals[0, "/"]
    assert (total.count, total.queries, total.bytes, total.slowest) == (4, 8, 40, 1000.0)
    assert (total.seconds, total.database_seconds) == (pytest.approx(1003.1005), pytest.approx(501.55025))
    for period in (HOUR, FOUR_HOURS):
        assert (await rows(project, period))[0, "/"].model_dump(exclude={"period"}) == total.model_dump(
            exclude={"period"}
        )
    expected = [0] * (len(BOUNDS) + 1)
    expected[0] = expected[BOUNDS.index(0.1)] = expected[BOUNDS.index(5.0)] = expected[-1] = 1
    assert total.buckets == expected
    assert {each.id: each.flush for each in await project.all(MonitorInstance)} == {one["id"]: 2, "other": 1}


async def test_a_batch_that_arrives_twice_counts_once(project):
    database, instance = project.runtime.database, describe_instance(project.runtime)
    for each in (batch(1, 0.1), batch(1, 0.1), batch(2, 0.1), batch(1, 0.1), batch(2, 0.1)):
        await write(database, each, instance)
    assert (await rows(project, 0))[0, "/"].count == 2
    assert (await rows(project, 60))[600, "/"].count == 2


async def test_the_same_batch_at_the_same_time_counts_once(project):
    database, instance = project.runtime.database, describe_instance(project.runtime)
    await asyncio.gather(*(write(database, batch(number, 0.1), instance) for number in (1, 1, 1)))
    assert (await rows(project, 0))[0, "/"].count == 1


async def test_statements_are_kept_once(project):
    database, instance = project.runtime.database, describe_instance(project.runtime)
    for number in (1, 2):
        figures = batch(number, 1.0, key=Key("query", "abc", "", ""))
        await write(database, figures._replace(statements={"abc": Statement("SELECT '' % :x", "a.py")}), instance)
    (kept,) = await project.all(MonitorStatement)
    assert (kept.name, kept.text, kept.caller) == ("abc", "SELECT '' % :x", "a.py")


async def test_what_a_recorder_counts_can_be_written(project):
    clock = ManualClock()
    recorder = Recorder(clock)
    for path in ("/ä\udcff\x00", "", "x" * 5000):
        work = recorder.begin_request("GET\x00")
        work.name, work.outcome = path, "200"
        recorder.add(work)
    taken = recorder.take()
    assert taken is not None
    await write(project.runtime.database, taken, describe_instance(project.runtime))
    names = {name for _, name in await rows(project, 0)}
    assert names == {"/ä??", "(none)", "x" * 200}
    recorder.close()
    async with project.runtime.database.read() as session:
        await (await session.connection()).execute(text("SELECT 1"))
