"""Pages: where they are found, what they may use, and that a mistake in one is an error."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest

from fastopp.core.apps import NavItem
from fastopp.web.navigation import visible_navigation
from fastopp.web.templating import (
    FRAMEWORK_TEMPLATES,
    Templates,
    format_datetime,
    initials,
    mark_code,
)
from tests.services.web_project import BROWSER, SIGN_IN_PAGE, Somebody, client, make_app, settings


def project(tmp_path: Path, **pages: str) -> Path:
    (tmp_path / "templates").mkdir()
    for name, text in pages.items():
        (tmp_path / "templates" / f"{name}.html").write_text(text)
    return tmp_path


async def page_of(folder: Path, path: str = "/page/a.html", **headers: str) -> str:
    async with client(make_app(folder), **BROWSER, **headers) as browser:
        answer = await browser.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text


async def test_a_project_replaces_a_page_of_the_framework(tmp_path: Path) -> None:
    assert await page_of(project(tmp_path, footer="my footer", a="{% include 'footer.html' %}")) == "my footer"


async def test_values_are_escaped(tmp_path: Path) -> None:
    assert await page_of(project(tmp_path, a="{{ '<b>' }}")) == "&lt;b&gt;"


def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    templates = Templates(settings(), [project(tmp_path, a="{{ nothing }}") / "templates"])
    with pytest.raises(jinja2.UndefinedError):
        templates.render("a.html", {})


async def test_query_changes_this_address(tmp_path: Path) -> None:
    folder = project(tmp_path, a="{{ query(page=2, sort=None)|safe }}")
    assert await page_of(folder, "/page/a.html?sort=name&q=a%26b") == "?q=a%26b&page=2"


def test_static_addresses_change_with_the_content(tmp_path: Path) -> None:
    (tmp_path / "a b.css").write_text("one")
    templates = Templates(settings(), static=[tmp_path])
    first = templates.static_url("a b.css")
    assert re.fullmatch(r"/static/a%20b\.css\?v=[0-9a-f]{12}", first)
    (tmp_path / "a b.css").write_text("another")
    assert Templates(settings(), static=[tmp_path]).static_url("a b.css") != first
    assert templates.static_url("missing.css") == "/static/missing.css"


@pytest.mark.parametrize(
    ("user", "labels"),
    [
        (None, ["Shop"]),
        (Somebody(), ["Shop", "My books"]),
        (Somebody(is_staff=True), ["Shop", "My books", "Orders"]),
        (Somebody(is_superuser=True), ["Shop", "My books", "Orders", "Operations"]),
    ],
)
def test_the_menu_shows_what_one_may_open(user: Somebody | None, labels: list[str]) -> None:
    items = [
        NavItem("Shop", "/shop"),
        NavItem("My books", "/books", requires="user"),
        NavItem("Orders", "/orders", "management", "staff"),
        NavItem("Operations", "/oppman/", "management", "superuser"),
    ]
    sections = visible_navigation(items, user)
    assert [item.label for section in sections for item in section["items"]] == labels


async def test_the_header_knows_who_is_looking_and_where(tmp_path: Path) -> None:
    folder = project(tmp_path, a="{% extends 'base.html' %}")
    nobody = await page_of(folder)
    assert 'href="/login"' in nobody
    assert "Management" not in nobody
    superuser = await page_of(folder, x_role="superuser")
    assert "ada@example.com" in superuser
    assert "Superuser" in superuser
    assert 'action="/logout"' in superuser
    assert 'href="/oppman/"' in superuser
    assert ">Local<" in superuser


async def test_an_error_page_does_not_claim_that_somebody_is_signed_out(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), **BROWSER) as browser:
        browser.cookies.set("access_token", "x")
        page = (await browser.get("/nowhere")).text
    assert "Your account" in page
    assert 'href="/login"' not in page


async def test_no_page_needs_anything_inline(tmp_path: Path) -> None:
    """The policy forbids inline scripts, event handlers and styles, and anything from elsewhere."""
    for file in FRAMEWORK_TEMPLATES.rglob("*.html"):
        if file.parent.name == "mail":
            continue
        text = re.sub(r"\{[{%].*?[}%]\}", "", file.read_text())
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), file
        assert not re.search(r"\son[a-z]+=|\sstyle=|<style", text), file
        assert not re.search(r"(src|href)=\"(https?:)?//(?!github\.com)", text), file


def test_every_template_compiles_and_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastopp.web.templating.COMPILED_TEMPLATES", tmp_path / "compiled")
    count = Templates(settings()).compile_all()
    assert len(list((tmp_path / "compiled").iterdir())) == count
    monkeypatch.setattr("jinja2.Environment.compile", None)  # what was kept needs no compiler
    assert Templates(settings()).compile_all() == count


def test_a_folder_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("fastopp.web.templating.COMPILED_TEMPLATES", tmp_path / "file")
    assert Templates(settings()).compile_all() > 0


UI = "{% import 'charts.html' as charts %}"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ ui.badge('New', 'success') }}", "New</span>"),
        ("{{ ui.button('Go', '/x', hx_get='/y', disabled=True, hidden=False) }}", 'hx-get="/y" disabled=""'),
        ("{{ ui.button('Go', type='submit') }}", '<button type="submit"'),
        ("{{ ui.field('a', 'A', error='Bad', required=true) }}", 'aria-describedby="field-a-error"'),
        ("{{ ui.field('a', 'A', 'select', 2, options=[(1, 'x'), (2, 'y')]) }}", '<option value="2" selected>'),
        ("{{ ui.field('a', 'A', value='\"><script>') }}", "&#34;&gt;&lt;script&gt;"),
        ("{{ ui.alert('Hm', 'error') }}", 'role="alert"'),
        ("{% call ui.modal('m', 'T') %}x{% endcall %}", '<dialog id="m"'),
        ("{{ ui.avatar('Ada King Lovelace') }}", ">AL</span>"),
        ("{{ ui.sort_header('Name', 'name', '-name', query) }}", 'aria-sort="descending"'),
        ("{{ ui.pagination(1, 1, 3, query) }}", "3 rows"),
        ("{{ ui.pagination(5, 9, 88, query) }}", 'aria-current="page"'),
        ("{% call ui.empty_state('None', 'yet') %}{% endcall %}", "None"),
        ("{{ ui.skeleton() }}", 'role="status"'),
        ("{{ ui.stat('A', 1) }}", ">1</p>"),
        ("{{ ui.checks([{'name': 'DB', 'ok': False, 'text': 'away'}]) }}", "not fine"),
        (UI + "{{ charts.bars('T', []) }}", "<svg"),
        (UI + "{{ charts.bars('T', [('a', 0), ('b', 5)]) }}", 'aria-label="T: a 0, b 5"'),
        (UI + "{{ charts.doughnut('T', []) }}", ">0</text>"),
        (UI + "{{ charts.doughnut('T', [('a', 1), ('b', 3)]) }}", "stroke-dasharray"),
    ],
)
async def test_components(tmp_path: Path, source: str, expected: str) -> None:
    assert expected in await page_of(project(tmp_path, a=source))


@pytest.mark.parametrize(
    ("name", "context", "expected"),
    [
        ("home.html", {"checks": [], "next_step": None, "cards": []}, "Your application is running"),
        ("license.html", {"text": "MIT License\n\nPermission"}, "<h2"),
        ("protected.html", {"user": Somebody(is_staff=True)}, "Hello, ada@example.com"),
        (
            "login.html",
            SIGN_IN_PAGE | {"error": "Wrong.", "next": "/a", "email": "b@c.d"},
            'autocomplete="current-password"',
        ),
    ],
)
async def test_pages(tmp_path: Path, name: str, context: dict[str, Any], expected: str) -> None:
    values = "".join(f"{{% set {key} = given_{key} %}}" for key in context)
    folder = project(tmp_path, a=f"{values}{{% include '{name}' %}}")
    app = make_app(folder)
    app.state.templates.environment.globals |= {f"given_{key}": value for key, value in context.items()}
    async with client(app, **BROWSER) as browser:
        answer = await browser.get("/page/a.html")
    assert expected in answer.text, answer.text


def test_what_stands_between_backticks_is_code() -> None:
    assert mark_code("Run `a < b` & see.") == "Run <code>a &lt; b</code> &amp; see."
    assert mark_code("One ` alone") == "One ` alone"


def test_times_and_initials() -> None:
    moment = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)
    assert format_datetime(moment) == '<time datetime="2026-03-01T09:05:00+00:00">1 Mar 2026, 09:05</time>'
    assert format_datetime(None) == "-"
    assert [initials(name) for name in ("Ada", "ada lovelace", "", "Ålice B. Çelik")] == ["A", "AL", "?", "ÅÇ"]


async def test_the_api_can_be_read_without_a_network(tmp_path: Path) -> None:
    async with client(make_app(tmp_path), **BROWSER) as browser:
        page = (await browser.get("/docs")).text
        assert "swagger-ui" in page
        assert 'data-openapi-url="/openapi.json"' in page
        for address in re.findall(r'(?:src|href)="(/static/[^"]+)"', page):
            assert (await browser.get(address.replace("&amp;", "&"))).status_code == 200, address
        assert (await browser.get("/redoc")).headers["location"] == "/docs"
