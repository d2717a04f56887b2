"""`leapcell check --measure` and the emulator find the same figures for the same project."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.checks.trial_run import MIB, measure
from tests.gate import full
from tests.services.emulator import running, write_project

APP = "from fastapi import FastAPI\n\napp = FastAPI()\napp.get('/')(lambda: 'hello')\n"
NOISE = 0.15  # of processor time, on a machine that does other things, too


@full
async def test_the_check_and_the_emulator_measure_the_same(tmp_path: Path) -> None:
    """The launcher in the sandbox is not counted, and pages that another group has read first are."""
    start = "python -m uvicorn main:app --host 0.0.0.0 --port 8080"
    folder = write_project(tmp_path / "project", start, main=APP)
    trial = await measure(folder, platform="leapcell")
    async with running(folder, instances=1) as service:
        assert (await service.client.get("/")).status_code == 200
        instance = service.instance("i1")
    assert instance["memory"] / MIB == pytest.approx(trial.resident, rel=0.15)
    assert instance["cpu_seconds"] == pytest.approx(trial.until_page, rel=0.15, abs=NOISE)
