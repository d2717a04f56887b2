"""The application is light, answers health first, starts once, and says what keeps it from starting."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import MutableMapping
from typing import Any

import httpx
import pytest

from fastopp.core.application import FastOpp
from fastopp.platforms.base import HEALTH_PATHS
from fastopp.settings import load_settings


@pytest.fixture
def settings(tmp_path):
    return load_settings({"DATABASE_URL": f"sqlite:///{tmp_path}/t.db", "UPLOAD_DIR": f"{tmp_path}/up"})


def client(app: FastOpp) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")


def python(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("path", sorted(HEALTH_PATHS))
async def test_liveness(settings, path):
    async with client(FastOpp(settings=settings)) as caller:
        answer = await caller.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert (await caller.head(path)).content == b""
        assert (await caller.post(path)).status_code == 405


async def test_liveness_needs_no_database():
    settings = load_settings({"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "DB_TIMEOUT": "1"})
    app = FastOpp(settings=settings)
    async with app.running(), client(app) as caller:
        assert (await caller.get("/kaithhealth")).status_code == 200
        assert (await caller.get("/health")).status_code == 503


async def test_it_starts_once_however_many_ask(settings):
    app = FastOpp(settings=settings)
    applications = await asyncio.gather(*(app.start() for _ in range(5)))
    assert len({id(application) for application in applications}) == 1
    await app.stop()


async def test_a_start_survives_the_client_that_caused_it(settings):
    app = FastOpp(settings=settings)
    impatient = asyncio.create_task(app.start())
    await asyncio.sleep(0)
    impatient.cancel()
    with pytest.raises(asyncio.CancelledError):
        await impatient
    assert await app.start()
    await app.stop()


async def test_a_failed_start_is_tried_again(settings, monkeypatch):
    app = FastOpp(settings=settings)
    with monkeypatch.context() as patch:
        patch.setattr("fastopp.core.application._import_assembly", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await app.start()
    assert await app.start()
    await app.stop()


async def lifespan(app: FastOpp) -> list[MutableMapping[str, Any]]:
    """Start and stop as a server does; returns what the application said."""
    said: list[MutableMapping[str, Any]] = []
    incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    for kind in ("startup", "shutdown"):
        incoming.put_nowait({"type": f"lifespan.{kind}"})

    async def send(message: MutableMapping[str, Any]) -> None:
        said.append(message)

    await app({"type": "lifespan"}, incoming.get, send)
    return said


async def test_lifespan(settings):
    said = await lifespan(FastOpp(settings=settings))
    assert [message["type"] for message in said] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_an_app_with_a_mistake_is_said_at_the_start(settings, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "apptest_mistaken"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "routes.py").write_text("x = 1\n")
    said = await lifespan(FastOpp(["apptest_mistaken"], settings=settings))
    assert said[0]["type"] == "lifespan.startup.failed"
    assert "has no `router`" in said[0]["message"]


ROUTES = """
from fastapi import APIRouter
router = APIRouter()
@router.get("/{0}")
async def answer() -> str:
    return "{0}"
"""


@pytest.fixture
def app_with_routes(tmp_path, monkeypatch):
    """Write an app whose modules answer at their own names; returns its import path."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(package: str, init: str = "", **modules: str) -> str:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(init)
        for module, path in modules.items():
            (tmp_path / package / f"{module}.py").write_text(ROUTES.format(path))
        return package

    return write


@pytest.mark.parametrize("environment", ["development", "production"])
async def test_the_modules_of_a_deprecated_later_are_imported_at_the_start(
    settings, app_with_routes, caplog, environment
):
    later = 'LATER = {"routes": "/later", "staff": ("/later-staff",)}'
    package = app_with_routes(f"apptest_later_{environment}", later, routes="later", staff="later-staff")
    app = FastOpp([package], settings=settings.model_copy(update={"environment": environment}))
    async with app.running(), client(app) as caller:
        answers = [(await caller.get(path)).json() for path in ("/later", "/later-staff")]
    assert answers == ["later", "later-staff"]
    warned = [record.getMessage() for record in caplog.records if "LATER" in record.getMessage()]
    assert len(warned) == (environment == "development")
    assert all(package in each and "routes.py" in each for each in warned)


async def test_an_app_may_replace_pages_but_not_operations(settings, app_with_routes):
    pages, operations = {"a": "login", "b": "oppman/users"}, {"c": "debug/simple", "d": "health"}
    paths = pages | operations
    app = FastOpp(
        [app_with_routes(f"apptest_replace_{name}", routes=path) for name, path in paths.items()], settings=settings
    )
    async with app.running(), client(app) as caller:
        for path in paths.values():
            own = (await caller.get(f"/{path}")).text == f'"{path}"'
            assert own == (path in pages.values()), path


async def test_an_exception_of_an_app_is_said_at_the_start(settings, monkeypatch):
    monkeypatch.setattr("fastopp.core.application._import_assembly", lambda: 1 / 0)
    app = FastOpp(settings=settings)
    said: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        said.append(message)

    with pytest.raises(ZeroDivisionError):
        await app({"type": "lifespan"}, receive, send)
    assert said[0]["type"] == "lifespan.startup.failed"
    assert "ZeroDivisionError" in said[0]["message"]


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"PORT": "x", "OPS_TOKEN": "short"}, ["PORT", "OPS_TOKEN"]),
        ({"FASTOPP_PLATFORM": "leapcell"}, ["SECRET_KEY", "DATABASE_URL"]),
    ],
)
def test_a_wrong_configuration_ends_the_process_with_status_2(environ, says):
    result = python("from fastopp import FastOpp; FastOpp()", **environ)
    assert result.returncode == 2
    assert all(variable in result.stderr for variable in says)
    assert "Traceback" not in result.stderr


def test_a_missing_app_ends_the_process_with_status_2():
    result = python("from fastopp import FastOpp; FastOpp(['nothere'])")
    assert result.returncode == 2
    assert "startapp nothere" in result.stderr
