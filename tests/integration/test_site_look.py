"""The example of docs/pages.md: a site with its own name, logo, colours and footer."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from fastopp import FastOpp
from fastopp.settings import load_settings

PAGE = (Path(__file__).parents[2] / "docs/pages.md").read_text(encoding="utf-8")
HTML = {"accept": "text/html"}


def example(language: str, containing: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return next(block for block in blocks if containing in block)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the files of the example."""
    for folder in ("static", "templates"):
        (tmp_path / folder).mkdir()
    (tmp_path / "static/site.css").write_text(example("text", "--color-primary"))
    (tmp_path / "static/favicon.svg").write_text("<svg>own</svg>")
    (tmp_path / "templates/footer.html").write_text(example("html", "<footer"))
    (tmp_path / "main.py").write_text(example("python", "title="))
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def test_the_site_is_theirs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        {"DATABASE_URL": f"sqlite:///{project}/t.db", "ALLOWED_HOSTS": "testserver"}, env_file=Path("/nonexistent")
    )
    monkeypatch.setattr("fastopp.core.application.load_settings", lambda **_: settings)
    names: dict[str, FastOpp] = {}
    exec((project / "main.py").read_text(), names)
    async with names["app"].running() as app:
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=HTML) as browser:
            page = (await browser.get("/login")).text
            assert "<title>Sign in · Ada&#39;s books</title>" in page
            assert 'content="Ada&#39;s books: New and second-hand books."' in page
            assert "Trafalgar Square" in page
            (stylesheet,) = re.findall(r'href="(/static/site.css[^"]+)"', page)
            assert page.index("app.css") < page.index("site.css")
            assert "light-dark(#9f1239, #fda4af)" in (await browser.get(stylesheet)).text
            assert (await browser.get("/favicon.ico")).text == "<svg>own</svg>"
            assert (await browser.get("/openapi.json")).json()["info"]["title"] == "Ada's books"
            admin = (await browser.get("/admin/login")).text
            assert "Ada&#39;s books" in admin
            assert stylesheet in admin
            for text in (page, admin):
                assert "FastOpp" not in text
