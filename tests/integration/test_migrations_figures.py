"""Migration 0020 adds the monitor's figures to the periods that are shown."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert

from fastopp.database.migrations import migrate
from fastopp.database.session import Database
from fastopp.features.monitor.models import MonitorFigures
from fastopp.features.monitor.periods import FOUR_HOURS, HOUR, MINUTE
from fastopp.recording import Key
from fastopp.settings import Settings
from tests.services.databases import url_on
from tests.services.figures import figures, row
from tests.services.migrations import ROOT, execute, settings_for

FOLDER = ROOT / "alembic"
READ = Key("request", "/shelves", "GET", "2xx")
DAY_BEGAN = 1_800_057_600  # so do its four hours

url = url_on("sqlite", "psycopg")


async def put(settings: Settings, *rows: dict[str, Any]) -> None:
    database = Database.from_settings(settings)
    async with database.transaction() as session:
        await (await session.connection()).execute(insert(MonitorFigures), list(rows))
    await database.dispose()


async def kept(settings: Settings) -> dict[tuple[int, int], tuple[int, float, float]]:
    """Return count, seconds and the slowest of each period and time since the day began."""
    rows = await execute(settings, "SELECT period, since, count, seconds, slowest FROM monitor_figures")
    return {
        (each["period"], each["since"] - DAY_BEGAN): (each["count"], each["seconds"], each["slowest"]) for each in rows
    }


async def test_older_figures_are_in_hours_and_four_hours(url: str) -> None:
    assert DAY_BEGAN % 86400 == 0
    settings = settings_for(url)
    await migrate.upgrade(settings, "0019", folder=FOLDER)
    old = {(HOUR, 0): (2, 1.5, 1.0), (HOUR, 2 * HOUR): (1, 4.0, 4.0)}
    minutes = {(MINUTE, 3 * HOUR): (1, 0.5, 0.5), (MINUTE, 3 * HOUR + 60): (2, 0.75, 0.5)}
    await put(
        settings,
        row(READ, DAY_BEGAN, figures(1.0, 0.5), HOUR),
        row(READ, DAY_BEGAN + 2 * HOUR, figures(4.0), HOUR),
        row(READ, DAY_BEGAN + 3 * HOUR, figures(0.5)),
        row(READ, DAY_BEGAN + 3 * HOUR + 60, figures(0.25, 0.5)),
    )
    assert await kept(settings) == old | minutes

    await migrate.upgrade(settings, folder=FOLDER)
    shown = {(HOUR, 3 * HOUR): (3, 1.25, 0.5), (FOUR_HOURS, 0): (6, 6.75, 4.0)}
    assert await kept(settings) == old | minutes | shown

    await migrate.downgrade(settings, "0019", folder=FOLDER)
    assert await kept(settings) == old | minutes


async def test_what_new_code_has_flushed_before_is_not_added_twice(url: str) -> None:
    settings = settings_for(url)
    await migrate.upgrade(settings, "0019", folder=FOLDER)
    since = DAY_BEGAN + 5 * HOUR
    flushed = [row(READ, since, figures(0.5), period) for period in (MINUTE, HOUR, FOUR_HOURS)]
    await put(settings, row(READ, DAY_BEGAN, figures(1.0)), *flushed)
    await migrate.upgrade(settings, folder=FOLDER)
    of_periods = await execute(settings, "SELECT period, sum(count) AS count FROM monitor_figures GROUP BY period")
    assert {each["period"]: each["count"] for each in of_periods} == {MINUTE: 2, HOUR: 2, FOUR_HOURS: 2}
