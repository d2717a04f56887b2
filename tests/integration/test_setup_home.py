"""The home page of a project without apps says how it is and what to do next."""

from __future__ import annotations

import pytest

from fastopp.features.setup.seeding import run_full_init
from tests.services.ops_project import BROWSER, running


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/t.db"


async def test_from_nothing_to_an_app_of_ones_own(url, tmp_path):
    async with running(url, tmp_path) as project:
        async with project.client() as caller:
            empty = await caller.get("/", headers=BROWSER)
            assert empty.status_code == 200
            assert "Tables are missing." in empty.text
            assert "python oppman.py db" in empty.text
        await run_full_init(project.runtime)
        async with project.client() as caller:
            ready = await caller.get("/", headers=BROWSER)
            assert "All tables are there." in ready.text
            assert "Oppman" not in ready.text.split("<main")[1]
        async with project.signed_in() as browser:
            assert "startapp" in (await browser.get("/", headers=BROWSER)).text


async def test_without_a_database(tmp_path):
    nowhere = "postgresql://nobody@127.0.0.1:1/none"
    async with running(nowhere, tmp_path, {"DB_TIMEOUT": "1"}) as project, project.client() as caller:
        answer = await caller.get("/", headers=BROWSER)
    assert answer.status_code == 200
    assert "It does not answer now." in answer.text


async def test_without_a_shell_the_way_in_is_a_request(url, tmp_path):
    environ = {"FASTOPP_PLATFORM": "leapcell", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}
    async with running(url, tmp_path, environ) as project, project.client() as caller:
        assert "/async/init-demo" in (await caller.get("/", headers=BROWSER)).text
