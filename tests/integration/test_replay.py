"""Requests that write are sent to the region of the database, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.services.databases import url_on
from tests.services.ops_project import ADMIN, BEARER, PRODUCTION, Project, initialised, running

url = url_on("sqlite", fill=initialised)
THERE = PRODUCTION | {"FLY_APP_NAME": "shop", "PRIMARY_REGION": "ams"}
SIGN_IN = {"username": ADMIN[0], "password": ADMIN[1]}


@pytest.fixture
async def far(url: str, tmp_path: Path) -> AsyncIterator[Project]:
    async with running(url, tmp_path, THERE | {"FLY_REGION": "syd"}) as project:
        yield project


async def hops(project: Project, primary: Project, method: str, path: str, **options: object) -> httpx.Response:
    """Ask as Fly's proxy does: replay what is answered so in the other region, and note it there."""
    async with project.client() as here:
        answer = await here.request(method, path, **options)  # type: ignore[arg-type] # httpx's
    if "fly-replay" not in answer.headers:
        return answer
    assert answer.headers["fly-replay"] == "region=ams"
    assert "set-cookie" not in answer.headers
    async with primary.client(headers={"fly-replay-src": "instance=1;region=syd;t=1"}) as there:
        replayed = await there.request(method, path, **options)  # type: ignore[arg-type] # as above
    assert "fly-replay" not in replayed.headers
    replayed.headers["hops"] = "1"
    return replayed


async def test_a_write_takes_one_hop_and_a_read_none(far: Project, url: str, tmp_path: Path) -> None:
    async with running(url, tmp_path, THERE | {"FLY_REGION": "ams"}) as primary:
        signed_in = await hops(far, primary, "POST", "/api/token", data=SIGN_IN)
        assert (signed_in.status_code, signed_in.headers["hops"]) == (200, "1")
        for path in ("/login", "/health", "/healthz", "/static/app.css"):
            for method in ("GET", "HEAD"):
                assert "hops" not in (await hops(far, primary, method, path)).headers, path
        operation = await hops(far, primary, "POST", "/async/clean-up", headers=BEARER)
        assert (operation.status_code, operation.headers["hops"]) == (200, "1")
        # In the region of the database nothing is replayed.
        async with primary.client() as client:
            assert (await client.post("/api/token", data=SIGN_IN)).status_code == 200


async def test_it_is_served_here_if_it_cannot_be_sent(far: Project) -> None:
    async with far.client() as client:
        # From another region already: it never goes in circles, even if both regions believe that the other one writes.
        answer = await client.post("/api/token", data=SIGN_IN, headers={"fly-replay-src": "region=ams"})
        assert answer.status_code == 200
        assert "access_token" in answer.json()
        large = await client.post("/api/token", content=b"x" * 1_000_001)
        assert "fly-replay" not in large.headers
        at_most = await client.post("/api/token", content=b"x" * 1_000_000)
        assert at_most.headers["fly-replay"] == "region=ams"

        async def pieces() -> AsyncIterator[bytes]:
            yield b"x"

        chunked = await client.post("/api/token", content=pieces())
        assert "fly-replay" not in chunked.headers


@pytest.mark.parametrize(
    "environ",
    [
        {"FLY_REGION": "ams"},
        {"PRIMARY_REGION": "", "FLY_REGION": "syd"},
        {"FLY_REGION": ""},
        {"FLY_REGION": "syd", "FASTOPP_PLATFORM": "local"},
        {"FLY_REGION": "syd", "PRIMARY_REGION": "ams;app=other"},
    ],
)
async def test_nothing_is_sent_elsewhere(environ: dict[str, str], url: str, tmp_path: Path) -> None:
    async with running(url, tmp_path, THERE | environ) as project, project.client() as client:
        answer = await client.post("/api/token", data=SIGN_IN)
        assert (answer.status_code, "fly-replay" in answer.headers) == (200, False)
