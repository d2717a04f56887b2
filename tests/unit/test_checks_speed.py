"""What was measured, judged by the size that leapcell.yaml asks for; and measuring a small application."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.checks.trial_run import TrialRun, measure
from tests.services.checks_project import context, make_project, run

APP = """\
import sys
PAGES = {"/": (200, b'<a href="/a"><a href="/static/x"><a href="//evil.example">'), "/a": (200, b"a")}

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    status, body = PAGES.get(scope["path"], (404, b""))
    print(scope["path"], file=sys.stderr, flush=True)
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})
"""


@pytest.fixture
def looked_at(tmp_path: Path) -> CheckContext:
    """A project with 512 MB, which are 29 % of a core."""
    return context(make_project(tmp_path / "project"))


def judged(looked_at: CheckContext, *, start: float = 0.5, page: float = 1.0, resident: float = 90) -> set[str]:
    """The checks that find something in such a measurement."""
    looked_at.trial_run = TrialRun(start, page, 200, resident)
    return {number for number in ("W401", "W402", "E403", "W404", "E405") if run(number, looked_at)}


def test_a_small_quick_application(looked_at: CheckContext) -> None:
    assert judged(looked_at) == set()


def test_a_slow_start(looked_at: CheckContext) -> None:
    assert judged(looked_at, start=2.8, page=2.8) == set()  # 9.7 s
    assert judged(looked_at, start=2.8, page=3.0) == {"W402"}
    assert judged(looked_at, start=3.0, page=3.2) == {"W401", "W402"}
    assert "10.4 s with 512 MB" in run("W401", looked_at)[0].message


def test_a_project_of_another_framework(tmp_path: Path) -> None:
    """It need not be ASGI, nor in main.py; its settings.py is its own."""
    folder = make_project(tmp_path / "project")
    for name in ("main.py", "oppman.py"):
        (folder / name).unlink()
    (folder / "settings.py").write_text("raise RuntimeError")
    manifest = folder / "leapcell.yaml"
    manifest.write_text(manifest.read_text().replace("uvicorn main:app", "gunicorn main:app"))
    with pytest.raises(CannotCheck, match="Only `uvicorn main:app` is measured"):
        run("I406", context(folder))
    manifest.write_text(manifest.read_text().replace("gunicorn", "uvicorn"))
    (folder / "main.py").write_text(APP)
    (found,) = run("I406", context(folder))
    assert "health path after" in found.message
    failing = context(folder)
    failing.trial_run = TrialRun(0.5, 1, 500, 90)
    assert "oppman.py" not in run("E405", failing)[0].hint


def test_memory(looked_at: CheckContext) -> None:
    assert judged(looked_at, resident=400) == set()
    assert judged(looked_at, resident=420) == {"W404"}
    assert judged(looked_at, resident=513) == {"E403"}


def test_a_failing_page(looked_at: CheckContext) -> None:
    looked_at.trial_run = TrialRun(0.1, 0.2, 500, 50)
    assert run("E405", looked_at)


def test_what_was_measured_is_told(looked_at: CheckContext) -> None:
    looked_at.trial_run = TrialRun(0.29, 0.58, 200, 90)
    (finding,) = run("I406", looked_at)
    assert "(29% of a core): health path after 1.0 s, first page after 2.0 s, 90 MB" in finding.message
    assert finding.level == "info"


def test_nothing_is_measured_without_a_size(looked_at: CheckContext) -> None:
    (looked_at.folder / "leapcell.yaml").unlink()
    with pytest.raises(CannotCheck):
        run("W401", looked_at)


async def test_measuring(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(APP)
    found = await measure(tmp_path, platform="leapcell")
    assert 0 < found.until_health <= found.until_page
    assert found.page_status == 200
    assert 10 < found.resident < 200


async def test_an_application_that_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text('raise RuntimeError("no oven")\n')
    with pytest.raises(CannotCheck, match="no oven"):
        await measure(tmp_path, platform="leapcell")


async def test_no_application(tmp_path: Path) -> None:
    with pytest.raises(CannotCheck, match=r"main\.py"):
        await measure(tmp_path, platform="leapcell")
