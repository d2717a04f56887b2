"""`oppman.py alerts`, and `oppman.py remote status --alert`."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from fastopp.cli import remote_alerts
from fastopp.console.remote_site import NotFastOpp
from fastopp.features.alerts import commands, evaluation
from tests.services.alert_app.state import State
from tests.services.databases import url_on
from tests.services.ops_project import initialised, running, settings_of
from tests.services.webhook_server import webhook_server

APP = "tests.services.alert_app"

url = url_on("sqlite", fill=initialised)


async def run(*words: str, status: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, commands.app, words)
    assert result.exit_code == status, result.output
    return result.output


@pytest.fixture
def project_of(monkeypatch, url, tmp_path):
    def use(**variables: str) -> None:
        settings = settings_of(url, tmp_path, variables)
        monkeypatch.setattr(commands, "load_project", lambda: SimpleNamespace(settings=settings, apps=(), title="Shop"))

    return use


async def test_list(project_of, url, tmp_path, monkeypatch):
    monkeypatch.setattr(State, "healthy", False)
    async with running(url, tmp_path, {"ALERTS": "health=0.5"}, [APP]) as project:
        await evaluation.evaluate(project.runtime)
    project_of()
    shown = await run("list")
    assert "health" in shown
    assert "nothing to measure" in shown
    assert "nowhere" in shown
    found = json.loads(await run("list", "--json"))
    assert {rule["id"]: rule["value"] for rule in found["rules"]}["health"] == 1


async def test_the_test_message(project_of):
    project_of()
    assert "no destination" in await run("test", status=1)
    async with webhook_server() as hook:
        project_of(ALERT_WEBHOOKS=hook.url("/secret-path"), ALERT_MAIL="a@example.com")
        said = await run("test")
        assert "Delivered: generic webhook at 127.0.0.1." in said
        assert "Delivered: mail to an address." in said
        assert [each.json["type"] for each in hook.received] == ["alert.test"]
        hook.status = 404
        said = await run("test", status=1)
        assert "The webhook at 127.0.0.1 answers 404." in said
        assert "secret-path" not in said


def test_what_is_loud():
    assert not remote_alerts.is_loud({})
    assert not remote_alerts.is_loud({"open": [{"muted": True}]})
    assert remote_alerts.is_loud({"open": [{"muted": True}, {"muted": False}]})


def test_an_older_site_has_no_incidents():
    class Older:
        def run(self, path: str) -> None:
            raise NotFastOpp(path)

    assert remote_alerts.ask(Older()) == {"open": []}
