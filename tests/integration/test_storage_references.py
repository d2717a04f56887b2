"""Files that no row names are found and removed; others never."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from demo.webinars.models import WebinarRegistrant
from fastopp.auth.models import utc_now
from fastopp.seeding import run_full_init, run_step
from fastopp.storage.disk import TEMPORARY
from fastopp.storage.keys import new_key
from tests.services.ops_project import Project, running

APPS = ["demo.products", "demo.webinars"]


@pytest.fixture
async def project(tmp_path):
    async with running(f"sqlite:///{tmp_path}/t.db", tmp_path, apps=APPS) as project:
        await run_full_init(project.runtime)
        yield project


async def store(project: Project, prefix: str, *, hours_old: float) -> Path:
    key = new_key(prefix, "jpg")
    await project.runtime.storage.put(key, b"photo", content_type="image/jpeg")
    path = project.runtime.settings.upload_dir / key
    os.utime(path, (time.time() - hours_old * 3600,) * 2)
    return path


async def test_only_old_files_that_no_row_names_go(project):
    orphan = await store(project, "photos", hours_old=2)
    young = await store(project, "photos", hours_old=0.5)
    unclaimed = await store(project, "invoices", hours_old=2)
    named = await store(project, "photos", hours_old=2)
    async with project.runtime.database.transaction() as session:
        session.add(
            WebinarRegistrant(
                email="a@example.com",
                name="A",
                webinar_title="T",
                webinar_date=utc_now(),
                photo_url=f"/static/uploads/photos/{named.name}",
            )
        )
    outcome = await run_step(project.runtime, "leftovers")
    assert (outcome.status, outcome.message.split()[0]) == ("success", "1")
    assert not orphan.exists()
    assert young.exists()
    assert unclaimed.exists()
    assert named.exists()


async def test_half_written_files_of_killed_processes_go(project):
    folder = project.runtime.settings.upload_dir / "photos"
    abandoned = folder / f"{TEMPORARY}0123"
    before = {path.name for path in folder.iterdir()}
    abandoned.write_bytes(b"half")
    os.utime(abandoned, (1, 1))
    await run_step(project.runtime, "leftovers")
    assert {path.name for path in folder.iterdir()} == before


async def test_a_second_run_finds_nothing(project):
    assert (await run_step(project.runtime, "leftovers")).status == "skipped"
