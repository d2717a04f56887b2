"""How an operation answers HTMX, a browser and a program."""

from __future__ import annotations

from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, FastAPI, Form, Request

from fastopp.errors import Conflict, Unauthorized
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from fastopp.web import setup
from fastopp.web.answers import OperationRoute, outcome

router = APIRouter(route_class=OperationRoute)


@router.post("/done")
async def done(request: Request):
    return outcome(request, "It is <done>.", keys={"number": 1}, refresh="things-changed", context={"output": "a\nb"})


@router.post("/next")
async def go_on(request: Request):
    return outcome(request, "It is done.", redirect_to="/elsewhere")


@router.post("/conflict")
async def conflict():
    raise Conflict("It is taken.", hint="Choose another.")


@router.post("/stranger")
async def stranger():
    raise Unauthorized


@router.post("/form")
async def form(number: Annotated[int, Form()]):
    return number


@pytest.fixture
async def client():
    app = FastAPI()
    settings = Settings(platform=LOCAL, secret_key="k" * 40, allowed_hosts="site.test")
    setup.install(app, settings)
    app.include_router(router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://site.test") as client:
        yield client


HTMX = {"HX-Request": "true", "HX-Target": "place"}
BROWSER = {"Accept": "text/html"}


async def test_a_program_gets_json(client):
    answer = await client.post("/done")
    assert answer.json() == {"success": True, "message": "It is <done>.", "number": 1}
    assert answer.headers["cache-control"] == "no-store"
    refused = await client.post("/conflict")
    assert refused.status_code == 409
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json() == {
        "success": False,
        "message": "It is taken. Choose another.",
        "title": "Conflict",
        "status": 409,
        "detail": "It is taken. Choose another.",
    }
    assert isinstance((await client.post("/form", data={"number": "x"})).json()["detail"], list)


async def test_htmx_gets_a_fragment_where_it_asked_for_it(client):
    answer = await client.post("/done", headers=HTMX)
    assert "It is &lt;done&gt;." in answer.text
    assert "<html" not in answer.text
    assert answer.headers["hx-trigger"] == "things-changed"
    refused = await client.post("/conflict", headers=HTMX)
    assert (refused.status_code, refused.headers["hx-retarget"]) == (409, "#place")
    wrong = await client.post("/form", data={"number": "x"}, headers=HTMX)
    assert (wrong.status_code, wrong.headers["hx-retarget"]) == (422, "#place")
    strange = await client.post("/conflict", headers=HTMX | {"HX-Target": "a, body"})
    assert strange.headers["hx-retarget"] == "#alerts"
    assert (await client.post("/next", headers=HTMX)).headers["hx-redirect"] == "/elsewhere"


async def test_a_browser_without_javascript_gets_a_page(client):
    answer = await client.post("/done", headers=BROWSER)
    assert "<html" in answer.text
    assert "It is &lt;done&gt;." in answer.text
    elsewhere = await client.post("/done", headers=BROWSER | {"Referer": "https://evil.test/"})
    assert "evil.test" not in elsewhere.text
    moved = await client.post("/next", headers=BROWSER)
    assert (moved.status_code, moved.headers["location"]) == (303, "/elsewhere")
    assert (await client.post("/conflict", headers=BROWSER)).status_code == 409


async def test_strangers_are_answered_as_everywhere(client):
    answer = await client.post("/stranger")
    assert answer.status_code == 401
    assert "success" not in answer.json()
