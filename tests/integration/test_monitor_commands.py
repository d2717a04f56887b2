"""`oppman.py db slow`."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from fastopp.cli import remote_slow
from fastopp.features.database_backups.commands import app
from fastopp.features.monitor import commands
from fastopp.features.monitor.periods import DAY, FOUR_HOURS, TOTAL
from fastopp.recording import Key
from tests.services.databases import url_on
from tests.services.figures import figures, put, put_statement, row
from tests.services.ops_project import BEARER, initialised, running, settings_of

url = url_on("sqlite", fill=initialised)

SQL = "SELECT * FROM shelves WHERE id = ? " + "AND true " * 20
SLOW = Key("query", "slow", "", "")


@pytest.fixture
def settings(url, tmp_path, monkeypatch):
    settings = settings_of(url, tmp_path)
    monkeypatch.setattr(commands, "load_project", lambda: SimpleNamespace(settings=settings, apps=(), title="Shop"))
    return settings


def run(*words: str) -> str:
    result = CliRunner().invoke(app, ["slow", *words])
    assert result.exit_code == 0, result.output
    return result.output


async def record(url: str, folder) -> None:
    async with running(url, folder, {"MONITOR": "false"}) as project:
        now = int(project.runtime.clock.time())
        await put(
            project,
            [
                row(SLOW, now, figures(0.6, 1.0)),
                row(SLOW, now - 3 * DAY, figures(2.0), FOUR_HOURS),
                row(SLOW, 0, figures(*[0.6] * 9), 60) | {"period": TOTAL},
            ],
        )
        await put_statement(project, "slow", SQL, "shop/routes.py, line 12")


def test_slow_statements(settings, url, tmp_path):
    assert run() == "No query took 500 ms or longer.\n"
    asyncio.run(record(url, tmp_path))
    shown = run()
    assert "shop/routes.py, line 12" in shown
    assert "AND true A…\n" in shown
    assert "3.6 s" in shown  # of the week
    for span, count in (("hour", 2), ("day", 2), ("week", 3), ("all", 9)):
        [found] = json.loads(run("--span", span, "--json"))
        assert (found["statement"], found["count"]) == (SQL, count)
    assert found["bounds"]["p50"] == [0.5, 0.6]


@pytest.mark.parametrize("recorded", [True, False])
def test_slow_statements_of_a_deployed_site(url, tmp_path, capsys, recorded):
    """`remote slow` prints the statements, or why there are none."""

    async def answer(*, fill: bool):
        if fill:
            await record(url, tmp_path)
        given = {"MONITOR": str(recorded).lower()}
        async with running(url, tmp_path, given) as site, site.client(headers=BEARER) as client:
            found = (await client.get(remote_slow.PATH, params={"span": "week"})).json()
        return remote_slow.ask(SimpleNamespace(get=lambda _path, **_: found), "week")

    remote_slow.tell(asyncio.run(answer(fill=False)))
    shown = capsys.readouterr().out
    assert shown == (
        "No slow query was recorded.\n" if recorded else "Slow queries are not recorded: MONITOR is false there.\n"
    )
    remote_slow.tell(asyncio.run(answer(fill=True)))
    shown = capsys.readouterr().out
    assert "3.6 s" in shown
    assert "shop/routes.py, line 12" in shown


@pytest.mark.parametrize(("name", "value"), [("MONITOR", "false"), ("SLOW_QUERY_MS", "0")])
def test_nothing_is_recorded(url, tmp_path, monkeypatch, name, value):
    settings = settings_of(url, tmp_path, {name: value})
    monkeypatch.setattr(commands, "load_project", lambda: SimpleNamespace(settings=settings, apps=(), title="Shop"))
    assert run() == f"Slow queries are not recorded: {name} is {value}.\n"
