"""A project with the tasks of `tests.integration.trigger_app`, for the tests of triggers and wake-ups."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.core.application import FastOpp
from tests.services.ops_project import Project, settings_of
from tests.services.site import ROOT

APP = "tests.integration.trigger_app"


@asynccontextmanager
async def running_tasks(
    url: str,
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    request_timeout: float | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> AsyncIterator[Project]:
    """Start the application; `request_timeout` is what the platform gives to a request, in seconds."""
    settings = settings_of(url, folder, {"TASK_WORKER": "false"} | dict(environ or {}))
    if request_timeout is not None:
        platform = replace(settings.platform, request_timeout=request_timeout)
        settings = settings.model_copy(update={"platform": platform})
    asgi = FastOpp(["demo.users", APP], settings=settings, clock=clock)
    async with asgi.running() as app:
        yield Project(asgi, app)


def write_project(folder: Path) -> Path:
    """The same as files, for a server in a process of its own."""
    folder.mkdir(parents=True)
    shutil.copytree(ROOT / "alembic", folder / "alembic", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / APP.replace(".", "/"), folder / "trigger_app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "alembic.ini", folder / "alembic.ini")
    (folder / "main.py").write_text(
        'from fastopp.core.application import FastOpp\n\napp = FastOpp(apps=["trigger_app"])\n', encoding="utf-8"
    )
    return folder


def lines(path: Path) -> list[str]:
    """What tasks have written down."""
    return path.read_text().splitlines() if path.exists() else []
