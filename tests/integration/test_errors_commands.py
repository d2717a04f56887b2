"""`oppman.py errors`."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from fastopp.core.runtime import open_runtime
from fastopp.features.errors import commands
from tests.services.databases import url_on
from tests.services.ops_project import PRODUCTION, initialised, settings_of

url = url_on("sqlite", fill=initialised)


@pytest.fixture
def settings(url, tmp_path, monkeypatch):
    settings = settings_of(url, tmp_path, PRODUCTION | {"RELEASE": "one"})
    monkeypatch.setattr(commands, "load_project", lambda: SimpleNamespace(settings=settings, apps=(), title="Shop"))
    return settings


async def record(settings) -> None:
    async with open_runtime(settings) as runtime:
        runtime.errors.limit = 60
        try:
            json.loads("[")
        except ValueError as error:
            runtime.errors.report(error, shelf=7)


def run(*words: str, status: int = 0) -> str:
    result = CliRunner().invoke(commands.app, words)
    assert result.exit_code == status, result.output
    return result.output


def test_list_show_and_change(settings):
    asyncio.run(record(settings))
    assert "JSONDecodeError" in run("list")
    assert "JSONDecodeError" in run("list", "--search", "EXPECTING VALUE")
    assert json.loads(run("list", "--state", "ignored", "--json")) == []
    run("list", "--state", "lost", status=1)
    shown = run("show", "1")
    assert "test_errors_commands.py, in record" in shown
    assert "shelf          7" in shown
    assert "JSONDecodeError: Expecting value" in shown
    assert json.loads(run("show", "1", "--json"))["event"]["context"] == {"shelf": 7}
    for words, state in ((("ignore",), "ignored"), (("reopen",), "open"), (("resolve", "--by-next"), "resolved")):
        assert run(words[0], "1", *words[1:]) == f"Error 1 is {state}.\n"
    found = json.loads(run("show", "1", "--json"))
    assert (found["state"], found["resolved_from"], found["resolved_release"]) == ("resolved", "one", None)
    run("show", "2", status=1)
    run("resolve", "2", status=1)
