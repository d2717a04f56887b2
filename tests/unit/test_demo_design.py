from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from demo.design.forms import Enquiry, Slogan
from demo.design.samples import HEADLINE_PAGES, HEADLINES, PICTURES, WEEKS, headlines
from fastopp.web.checked_form import check_form
from tests.services.ops_project import BROWSER, HTMX, running

RIGHT = {"name": "Ada Lovelace", "email": "ada@example.com", "company": "Analytical Engines"}
STATIC = Path(__file__).parents[2] / "demo/design/static"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Nothing on these pages needs a database, so it has no tables."""
    running_project = running(f"sqlite:///{tmp_path}/test.db", tmp_path, apps=["demo.design"])
    async with running_project as project, project.client() as client:
        yield client


def test_headlines_are_paged_without_gaps() -> None:
    pages = [headlines(number) for number in range(1, HEADLINE_PAGES + 1)]
    assert tuple(line for page in pages for line in page) == HEADLINES
    assert headlines(HEADLINE_PAGES + 1) == ()


@pytest.mark.parametrize(
    ("changed", "fields"),
    [
        ({}, set()),
        ({"company": ""}, set()),
        ({"name": "", "email": ""}, {"name", "email"}),
        ({"name": "A"}, {"name"}),
        ({"name": "A" * 81}, {"name"}),
        ({"name": "A\0B"}, {"name"}),
        ({"email": "ada"}, {"email"}),
        ({"email": "ada@example"}, {"email"}),
        ({"company": "C" * 81}, {"company"}),
    ],
)
def test_mistakes_of_an_enquiry(changed: dict[str, str], fields: set[str]) -> None:
    assert check_form(Enquiry, RIGHT | changed).errors.keys() == fields


def test_mistakes_of_a_slogan() -> None:
    assert check_form(Slogan, {"text": "Fine"}).errors == {}
    assert check_form(Slogan, {"text": "x" * 61}).errors.keys() == {"text"}


@pytest.mark.parametrize("picture", PICTURES)
def test_pictures_are_there_and_small(picture) -> None:
    data = (STATIC / picture.file).read_text()
    assert len(data) < 3000
    assert "<script" not in data


async def test_the_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/design-demo", headers=BROWSER)
    assert answer.status_code == 200
    assert "made up" in answer.text
    for source in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
        assert (await client.get(source)).status_code == 200, source
    assert "Figures with their source" in (await client.get("/design-demo?tab=analysis")).text
    assert (await client.get("/design-demo?tab=nonsense")).status_code == 422


async def test_figures_are_called_samples(client: httpx.AsyncClient) -> None:
    answer = await client.get("/ai-stats")
    assert "made up" in answer.text
    assert "<html" not in answer.text
    assert f"Week {WEEKS[-1].number}" in answer.text
    assert f">{WEEKS[1].minutes_saved}<" in (await client.get("/ai-stats?week=2")).text
    for rubbish in ("0", "5", "-1", "x", "1.5", ""):
        assert (await client.get("/ai-stats", params={"week": rubbish})).status_code == 422


async def test_a_right_form(client: httpx.AsyncClient) -> None:
    answer = await client.post("/marketing-demo", data=RIGHT | {"name": "<b>Ada</b>"}, headers=HTMX)
    assert answer.status_code == 200
    assert "&lt;b&gt;Ada&lt;/b&gt;" in answer.text
    assert "nothing was stored" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "<html" not in answer.text


async def test_a_wrong_form(client: httpx.AsyncClient) -> None:
    answer = await client.post("/marketing-demo", data=RIGHT | {"email": '"><script>'}, headers=HTMX)
    assert answer.status_code == 422
    assert answer.text.count('aria-invalid="true"') == 1
    assert 'aria-describedby="field-email-error"' in answer.text
    assert 'value="Ada Lovelace"' in answer.text
    assert "<script>" not in answer.text
    assert (await client.post("/marketing-demo", headers=HTMX)).text.count('aria-invalid="true"') == 2


async def test_a_form_without_scripts(client: httpx.AsyncClient) -> None:
    answer = await client.post("/marketing-demo", data={"name": "Ada"}, headers=BROWSER)
    assert answer.status_code == 422
    assert "<html" in answer.text
    assert 'aria-invalid="true"' in answer.text


async def test_editing_in_place(client: httpx.AsyncClient) -> None:
    form = await client.get("/design-demo/slogan/edit", params={"text": "A line"})
    assert 'value="A line"' in form.text
    saved = await client.post("/design-demo/slogan", data={"text": " Another line "})
    assert ">Another line<" in saved.text
    wrong = await client.post("/design-demo/slogan", data={"text": "x", "before": "A line"})
    assert wrong.status_code == 422
    assert 'aria-invalid="true"' in wrong.text
    assert "text=A+line" in wrong.text
    odd = {"text": "x" * 5000}
    assert "Small pages" in (await client.get("/design-demo/slogan", params=odd)).text
    assert "Small pages" in (await client.get("/design-demo/slogan/edit", params=odd)).text


async def test_pictures_and_headlines(client: httpx.AsyncClient) -> None:
    assert "Orbit" in (await client.get("/design-demo/pictures/orbit")).text
    assert (await client.get("/design-demo/pictures/nothing")).status_code == 404
    second = (await client.get("/design-demo/headlines/2")).text
    assert "/design-demo/headlines/3" in second
    assert "20 of 40" in second
    assert "That is all of them" in (await client.get(f"/design-demo/headlines/{HEADLINE_PAGES}")).text
    for rubbish in ("0", "5", "x"):
        assert (await client.get(f"/design-demo/headlines/{rubbish}")).status_code == 422
