"""The sample data: twice, twice at once, with photos lost, and interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlmodel import delete, select

from demo.products.models import Product
from demo.webinars import seed as samples
from demo.webinars.models import WebinarRegistrant
from fastopp.features.accounts.models import User
from fastopp.features.setup.seeding import run_full_init, run_step
from fastopp.storage.base import StorageUnavailable
from fastopp.storage.keys import key_from_url
from tests.gate import each_database, only_full
from tests.services.databases import url_on
from tests.services.demo import demo, new_registrant, registrant, seed, seeded_demo, stored_keys
from tests.services.ops_project import Project

url = url_on("sqlite", *only_full("psycopg"), fill=seeded_demo)


@pytest.fixture
async def project(url: str, tmp_path: Path) -> AsyncIterator[Project]:
    async with demo(url, tmp_path, seeded=False) as running:
        yield running


async def counts(project: Project) -> tuple[int, int, int, int]:
    rows = [len(await project.all(model)) for model in (User, Product, WebinarRegistrant)]
    return rows[0], rows[1], rows[2], len(await stored_keys(project))


async def test_seeding_again_changes_nothing(project: Project) -> None:
    before = await project.all(WebinarRegistrant)
    assert await counts(project) == (8, 8, 13, 5)

    report = await seed(project)

    assert await counts(project) == (8, 8, 13, 5)
    assert sorted(before, key=lambda row: row.email) == sorted(
        await project.all(WebinarRegistrant), key=lambda row: row.email
    )
    assert {outcome.status for outcome in report.results[1:]} == {"skipped"}


@each_database
async def test_two_at_once_make_one_set(project: Project) -> None:
    async with project.runtime.database.transaction() as session:
        await session.exec(delete(WebinarRegistrant))
        await session.exec(delete(Product))

    reports = await asyncio.gather(run_full_init(project.runtime), run_full_init(project.runtime))

    assert [report.success for report in reports] == [True, True], reports
    assert await counts(project) == (8, 8, 13, 5)


async def test_photos_that_a_disk_forgot_come_back(project: Project) -> None:
    for key in await stored_keys(project):
        await project.runtime.storage.delete(key)

    await seed(project)

    assert await counts(project) == (8, 8, 13, 5)
    assert key_from_url((await registrant(project, "Amara Okafor")).photo_url) in await stored_keys(project)


async def test_a_photo_of_ones_own_is_left_alone(project: Project) -> None:
    storage = project.runtime.storage
    amara = await registrant(project, "Amara Okafor")
    await storage.put("photos/own.jpg", b"own", content_type="image/jpeg")
    await storage.delete(key_from_url(amara.photo_url) or "")
    async with project.runtime.database.transaction() as session:
        amara.photo_url = storage.url("photos/own.jpg")
        session.add(amara)

    await seed(project)

    assert (await registrant(project, "Amara Okafor")).photo_url == storage.url("photos/own.jpg")
    assert len(await stored_keys(project)) == 5


async def test_an_interrupted_step_leaves_no_row_and_no_orphan_for_good(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with project.runtime.database.transaction() as session:
        await session.exec(delete(WebinarRegistrant))
    store, calls = samples._store_missing, 0

    async def store_two(*arguments: object) -> bool:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StorageUnavailable
        return await store(*arguments)  # type: ignore[arg-type] # as they come

    monkeypatch.setattr(samples, "_store_missing", store_two)
    assert (await run_step(project.runtime, "registrants")).status == "error"
    assert await project.all(WebinarRegistrant) == []
    monkeypatch.undo()

    await seed(project)

    assert await counts(project) == (8, 8, 13, 5)


async def test_clearing_deletes_everybody_and_adds_the_samples(project: Project) -> None:
    storage = project.runtime.storage
    await storage.put("photos/old.jpg", b"old", content_type="image/jpeg")
    async with project.runtime.database.transaction() as session:
        session.add(new_registrant(photo_url=storage.url("photos/old.jpg")))
        session.add(new_registrant(photo_url="https://elsewhere.example/photo.jpg"))

    outcome = await run_step(project.runtime, "clear_registrants")

    assert outcome.status == "success", outcome
    assert await counts(project) == (8, 8, 5, 5)
    async with project.runtime.database.read() as session:
        urls = (await session.exec(select(WebinarRegistrant.photo_url))).all()
    assert {key_from_url(url) for url in urls} == await stored_keys(project)
