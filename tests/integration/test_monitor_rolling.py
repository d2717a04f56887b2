"""Roll-up keeps every sum, and the counters of /metrics never fall."""

from __future__ import annotations

import random
from collections.abc import Mapping

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from fastopp.features.monitor import rolling
from fastopp.features.monitor.columns import SUMS
from fastopp.features.monitor.flush import describe_instance
from fastopp.features.monitor.metrics import read_totals
from fastopp.features.monitor.models import MonitorFigures, MonitorInstance, MonitorStatement
from fastopp.features.monitor.periods import DAY, FOUR_HOURS, HOUR, KEPT_IN_DAYS, MINUTE, TOTAL
from fastopp.features.monitor.writing import write
from fastopp.recording import Batch, Figures, Key, Statement, Work
from tests.services.databases import url_on
from tests.services.migrations import migrated
from tests.services.ops_project import Project, running

url = url_on("sqlite", "psycopg", fill=migrated)

START = 1_800_000_000 // DAY * DAY
KEYS = (
    Key("request", '/a"b\\c', "GET", "200"),
    Key("request", "(none)", "_OTHER", "404"),
    Key("task", "clean-up", "", "failed"),
    Key("query", "abc", "", ""),
    Key("instance", "frozen", "", ""),
)


@pytest.fixture
async def project(url, tmp_path):
    async with running(url, tmp_path, {"MONITOR": "false"}) as project:
        yield project


async def add(project: Project, number: int, now: int, chance: random.Random) -> None:
    """Write a batch of some series."""
    batch: dict[tuple[int, Key], Figures] = {}
    for key in chance.sample(KEYS, 3):
        work = Work(key.kind)
        work.seconds, work.queries, work.bytes = chance.expovariate(2), chance.randrange(5), chance.randrange(999)
        batch[now // 60 * 60, key] = figures = Figures()
        figures.add(work)
    statements = {"abc": Statement("SELECT 1", "a.py")} if number == 1 else {}
    instance = describe_instance(project.runtime) | {"seen_at": now, "id": "one"}
    await write(project.runtime.database, Batch(number, batch, statements), instance)


async def sums(project: Project, *, total: bool) -> dict[str, float]:
    return await sums_of(project, *((TOTAL,) if total else KEPT_IN_DAYS))


async def sums_of(project: Project, *periods: int) -> dict[str, float]:
    rows = [row for row in await project.all(MonitorFigures) if row.period in periods]
    return {column: pytest.approx(sum(getattr(row, column) for row in rows)) for column in SUMS}


async def clean_up(project: Project, now: float, keep_days: int = 90) -> None:
    while await rolling.roll_up(project.runtime.database, now):
        pass
    await rolling.forget(project.runtime.database, now, keep_days)


async def scrape(project: Project, now: float) -> Mapping[tuple[str, ...], float]:
    """Return the counters, of both formats, which strict parsers read."""
    async with project.runtime.database.read() as session:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(await read_totals(session, now))
    families = list(text_string_to_metric_families(generate_latest(registry).decode()))
    other = list(parse_openmetrics(generate_openmetrics(registry).decode()))
    assert {family.name for family in families} == {family.name for family in other}
    return {
        (sample.name, *sorted(f"{name}={value}" for name, value in sample.labels.items())): sample.value
        for family in families
        if family.type in ("counter", "histogram")
        for sample in family.samples
    }


async def test_counters_never_fall_through_roll_up_and_clean_up(project):
    chance, now, known = random.Random(3), START, {}
    for number in range(1, 101):
        now += chance.choice((10, 600, 3 * HOUR, DAY))
        await add(project, number, now, chance)
        if number % 7 == 0:
            await clean_up(project, now)
        found = await scrape(project, now)
        assert all(found[sample] >= value for sample, value in known.items())
        known = found
    assert known["http_server_request_duration_seconds_count", "http_request_method=_OTHER",
                 "http_response_status_code=404", "http_route=(none)"] > 10  # fmt: skip
    assert known["instance_frozen_duration_seconds_bucket", "le=+Inf"] > 10


async def test_roll_up_keeps_every_sum_and_little_else(project):
    chance = random.Random(5)
    for number in range(1, 41):
        await add(project, number, START + number * 7 * 60, chance)
    before = await sums(project, total=False)
    assert before == await sums(project, total=True)
    for period in (MINUTE, HOUR):
        assert await sums_of(project, period) == before
    await clean_up(project, START + 2 * DAY)
    hours = await project.all(MonitorFigures)
    assert {row.period for row in hours} == {0, HOUR, FOUR_HOURS}
    assert await sums(project, total=False) == before
    await clean_up(project, START + 2 * DAY)
    assert await project.all(MonitorFigures) == hours
    await clean_up(project, START + 30 * DAY)
    days = await project.all(MonitorFigures)
    assert {row.period for row in days} == {0, DAY}
    assert len(days) == 2 * len(KEYS)
    assert await sums(project, total=False) == before
    assert len(await project.all(MonitorStatement)) == 1
    await clean_up(project, START + 200 * DAY)
    assert await project.all(MonitorFigures) == []
    assert await project.all(MonitorStatement) == []
    assert await project.all(MonitorInstance) == []


async def test_a_late_flush_to_a_day_that_was_rolled_up_is_added(project):
    chance = random.Random(6)
    await add(project, 1, START, chance)
    await clean_up(project, START + 20 * DAY)
    await add(project, 2, START, chance)
    await clean_up(project, START + 20 * DAY)
    assert {row.period for row in await project.all(MonitorFigures)} == {0, DAY}
    assert await sums(project, total=False) == await sums(project, total=True)
