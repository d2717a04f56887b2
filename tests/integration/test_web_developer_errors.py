"""The error page of development: what it shows, what it masks, and who sees it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event

from tests.services.ops_project import ELSEWHERE, HTMX, LOOPBACK, PRODUCTION, Project, running

CANARY = "canary-4f1d9a"
BROWSER = {"Accept": "text/html"}

ROUTES = """\
from dataclasses import dataclass

from fastapi import APIRouter, Request
from pydantic import SecretStr
from sqlalchemy import ForeignKey, MetaData, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlmodel import select

from fastopp import DatabaseDep, SessionDep, SettingsDep, render

router = APIRouter()


class Base(DeclarativeBase):
    metadata = MetaData()


class Author(Base):
    __tablename__ = "m_authors"
    id: Mapped[int] = mapped_column(primary_key=True)


class Book(Base):
    __tablename__ = "m_books"
    id: Mapped[int] = mapped_column(primary_key=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("m_authors.id"))
    author: Mapped[Author] = relationship()


@dataclass
class Account:
    name: str
    password: str


@router.get("/bug")
@router.get("/api/bug")
async def bug(request: Request, session: SessionDep, settings: SettingsDep):
    await session.exec(text("select 7 as lucky"))
    password = "CANARY"
    wrapped = SecretStr("CANARY")
    account = Account("ada", "CANARY")
    nested = {"api_key": "CANARY", "colour": "blue"}
    address = "postgresql://app:CANARY@db.example/shop"
    raise ValueError(f"no luck with password={password} at {address}, key {settings.secret_key.get_secret_value()}")


async def _books(database):
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with database.transaction() as session:
        await session.merge(Book(id=1, author=Author(id=1)))
    async with database.read() as session:
        return (await session.exec(select(Book))).all()


@router.get("/lazy")
async def lazy(database: DatabaseDep):
    books = await _books(database)
    async with database.read() as session:
        book = await session.get(Book, 1)
        return {"author": book.author.id}


@router.get("/lazy-template")
async def lazy_template(request: Request, database: DatabaseDep):
    return render(request, "mistakes/lazy.html", {"books": await _books(database)})


@router.get("/column")
async def column(session: SessionDep):
    return (await session.exec(text("select colour from (select 1 as id) as things"))).all()


@router.get("/table")
async def table(session: SessionDep):
    return (await session.exec(text("select * from nowhere"))).all()


@router.get("/no-await")
async def no_await(session: SessionDep):
    found = session.exec(text("select 1"))
    try:
        return found.all()
    finally:
        found.close()


@router.get("/typo")
async def typo(request: Request):
    return render(request, "mistakes/typo.html")


@router.get("/name")
async def name(request: Request):
    return render(request, "mistakes/name.html", {"title": "Hello"})


@router.get("/include")
async def include(request: Request):
    return render(request, "mistakes/include.html")
"""


SETTINGS = """\
from fastopp import AppSettings


class MistakesSettings(AppSettings):
    mistakes_colour: str = "turquoise"
"""


def line_of(code: str) -> int:
    return next(number for number, line in enumerate(ROUTES.splitlines(), 1) if code in line)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an app that makes every mistake."""
    templates = tmp_path / "mistakes/templates/mistakes"
    templates.mkdir(parents=True)
    (tmp_path / "mistakes/__init__.py").touch()
    (tmp_path / "mistakes/settings.py").write_text(SETTINGS)
    (tmp_path / "mistakes/routes.py").write_text(ROUTES.replace("CANARY", CANARY))
    (templates / "lazy.html").write_text("{% for book in books %}\n{{ book.author.id }}\n{% endfor %}")
    (templates / "typo.html").write_text("<p>\n{% fi %}\n")
    (templates / "name.html").write_text("<p>\n{{ titel }}\n")
    (templates / "include.html").write_text('{% include "mistakes/nothing.html" %}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("mistakes", "mistakes.routes", "mistakes.settings"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.fixture
async def project(folder: Path) -> AsyncIterator[Project]:
    async with running(f"sqlite:///{folder}/t.db", folder, apps=["mistakes"]) as project:
        yield project


async def test_the_page_shows_what_helps(project: Project) -> None:
    async with project.client(LOOPBACK, headers=BROWSER) as browser:
        answer = await browser.get("/bug?page=2")
    assert answer.status_code == 500
    page = answer.text
    assert "ValueError: no luck" in page
    assert f"mistakes/routes.py, line {line_of('raise ValueError')}" in page, "the frame"
    assert "raise ValueError" in page, "its source"
    assert "nested" in page, "its local names"
    assert "&#39;blue&#39;" in page, "and their values"
    assert "select 7 as lucky" in page, "the SQL"
    assert "mistakes.routes.bug" in page, "the handler"
    assert '<th scope="row">page</th>' in page, "the request"
    assert "DB_POOL_SIZE" in page, "the settings"
    assert "turquoise" in page, "and those of the apps"
    assert "style=" not in page, "nothing that the site's policy would refuse"


async def test_no_secret_is_shown(project: Project) -> None:
    key = project.runtime.settings.secret_key.get_secret_value()
    asked = {"Cookie": f"session={CANARY}", "Authorization": f"Bearer {CANARY}"}
    for headers in (BROWSER, HTMX, {}):
        async with project.client(LOOPBACK, headers=headers | asked) as caller:
            answer = await caller.get(f"/bug?token={CANARY}")
        assert "no luck" in answer.text
        assert CANARY not in answer.text
        assert key not in answer.text
        assert "operations-token" not in answer.text


async def test_programs_get_the_same_hint(project: Project) -> None:
    async with project.client(LOOPBACK) as caller:
        problem = (await caller.get("/lazy")).json()
    assert problem["status"] == 500
    assert "selectinload(Book.author)" in problem["hint"]
    assert problem["place"] == f"mistakes/routes.py, line {line_of('book.author.id')}"
    async with project.client(LOOPBACK, headers=HTMX) as caller:
        assert "selectinload(Book.author)" in (await caller.get("/lazy")).text


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/lazy", "`select(Book).options(selectinload(Book.author))`"),
        ("/lazy-template", "`select(Book).options(selectinload(Book.author))`"),
        ("/column", "makemigrations"),
        ("/table", "oppman.py migrate"),
        ("/no-await", "`found` is a coroutine, whose result is not there yet. Write `await` before the call of"),
        ("/typo", "Fix line 2 of the template mistakes/typo.html."),
        ("/name", "The template uses `titel`, which it was not given. Did you mean `title`?"),
        ("/include", "No app's folder templates/ holds mistakes/nothing.html."),
    ],
)
async def test_hints(project: Project, path: str, expected: str) -> None:
    async with project.client(LOOPBACK) as caller:
        problem = (await caller.get(path)).json()
    assert expected in problem["hint"]
    assert problem["place"]


async def test_a_mistake_in_a_template_names_its_line(project: Project) -> None:
    async with project.client(LOOPBACK) as caller:
        problems = {path: (await caller.get(path)).json() for path in ("/typo", "/name", "/lazy-template")}
    folder = "mistakes/templates/mistakes"
    assert {path: problem["place"] for path, problem in problems.items()} == {
        "/typo": f"{folder}/typo.html, line 2",
        "/name": f"{folder}/name.html, line 2",
        "/lazy-template": f"{folder}/lazy.html, line 2",
    }


async def test_what_is_missing_is_named(project: Project) -> None:
    async with project.client(LOOPBACK) as caller:
        column, table = (await caller.get("/column")).json(), (await caller.get("/table")).json()
    assert (column["status"], "Missing: colour" in column["detail"]) == (503, True)
    assert (table["status"], "Missing: nowhere" in table["detail"]) == (503, True)


@pytest.mark.parametrize("headers", [BROWSER, HTMX, {}])
async def test_others_see_nothing_of_it(project: Project, headers: dict[str, str]) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    for address, more in ((ELSEWHERE, {}), (LOOPBACK, forwarded), (LOOPBACK, {"Host": "site.test"})):
        async with project.client(address, headers=headers | more) as caller:
            for path in ("/bug", "/column"):
                text = (await caller.get(path)).text
                assert "no luck" not in text
                assert "routes.py" not in text
                assert "colour" not in text


@pytest.mark.parametrize("environ", [PRODUCTION, PRODUCTION | {"FASTOPP_PLATFORM": "fly"}])
async def test_nothing_outside_development(folder: Path, environ: dict[str, str]) -> None:
    async with running(f"sqlite:///{folder}/t.db", folder, environ, ["mistakes"]) as project:
        for headers in (BROWSER, HTMX, {}):
            async with project.client(LOOPBACK, headers=headers) as caller:
                answer = await caller.get("/bug")
                assert answer.status_code == 500
                assert "no luck" not in answer.text
                assert "routes.py" not in answer.text


async def test_requests_do_not_see_each_others_sql(project: Project) -> None:
    async with project.client(LOOPBACK, headers=BROWSER) as browser:
        await browser.get("/bug")
        assert "select 7 as lucky" not in (await browser.get("/typo")).text


async def test_a_relation_that_was_not_loaded_costs_no_connection(project: Project) -> None:
    """It could not be closed in order where nothing can be awaited."""
    thrown_away = []
    engine = project.runtime.database.engine.sync_engine
    event.listen(engine, "invalidate", lambda *arguments: thrown_away.append(arguments))
    async with project.client(LOOPBACK) as caller:
        assert (await caller.get("/lazy")).status_code == 500
    assert thrown_away == []
