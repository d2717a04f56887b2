"""`fastopp adopt`: a project of FastOpp 0.4.8 runs as it was, without an edit by hand."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from jinja2 import DictLoader, Environment
from playwright.sync_api import expect, sync_playwright

from fastopp.cli.adopt.data import RowsMissing
from fastopp.cli.adopt.known import Known
from fastopp.cli.adopt.old_project import NotAnOldProject
from fastopp.cli.adopt.project import NewFolderExists, adopt
from fastopp.cli.adopt.report import Report
from fastopp.console.main_file import ProjectError
from tests.services.browser import ARGUMENTS
from tests.services.migrations import load_postgresql_0_4_8
from tests.services.old_project import FRAMEWORKS, OWN, POSTGRESQL, known, make_old_project
from tests.services.postgres import Postgres
from tests.services.site import Site, account, run_command, succeed


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def frameworks(tmp_path_factory: pytest.TempPathFactory) -> Known:
    return known(tmp_path_factory.mktemp("frameworks"))


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory, frameworks: Known) -> tuple[Path, Path, Report]:
    """The old project, the new one beside it, and the report."""
    folder = tmp_path_factory.mktemp("adopt")
    old = make_old_project(folder / "shop")
    before = contents(old)
    report = adopt(old, folder / "new", app="shop", known=frameworks)
    assert contents(old) == before
    return old, folder / "new", report


@pytest.fixture(scope="module")
def site(adopted: tuple[Path, Path, Report]) -> Iterator[Site]:
    with Site(adopted[1]) as running:
        yield running


def rows(database: Path, columns: dict[str, list[str]]) -> dict[str, list[tuple[object, ...]]]:
    """The rows of these tables, of these columns."""
    found = {}
    with closing(sqlite3.connect(database)) as connection:
        for table, names in columns.items():
            wanted = ", ".join(f'"{name}"' for name in names)
            found[table] = sorted(connection.execute(f'SELECT {wanted} FROM "{table}"').fetchall(), key=repr)
    return found


def columns_of(database: Path) -> dict[str, list[str]]:
    """The columns of each table."""
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute(
            "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        )
        columns: dict[str, list[str]] = {}
        for table, name in found:
            columns.setdefault(table, []).append(name)
        return columns


def test_no_row_column_account_or_photo_is_lost(adopted: tuple[Path, Path, Report], tmp_path: Path) -> None:
    old, new, _ = adopted
    columns = columns_of(old / "test.db")
    del columns["alembic_version"]
    assert rows(new / "test.db", columns) == rows(old / "test.db", columns)
    assert (new / "static/uploads/photos/cover.png").read_bytes() == (old / "uploads/photos/cover.png").read_bytes()
    assert (new / "data/prices.csv").read_text() == OWN["data/prices.csv"]
    assert "--color-brand: #aa3300;" in (new / "tailwind.css").read_text()
    assert 'name = "new"' in (new / "pyproject.toml").read_text()
    settings = (new / ".env").read_text()
    assert "# of the shop\n" in settings
    assert "UPLOAD_DIR=static/uploads\n" in settings
    assert not [path.name for path in new.iterdir() if path.name.endswith(("-wal", "-shm", "__pycache__"))]


def test_migrate_check_finds_nothing(adopted: tuple[Path, Path, Report]) -> None:
    assert "the models fit" in succeed(adopted[1], "oppman.py", "migrate", "check")


def test_a_database_on_postgresql_is_taken_over(adopted: tuple[Path, Path, Report], postgres: Postgres) -> None:
    name = postgres.create_database()
    postgres.execute(f"ALTER DATABASE {name} SET timezone TO 'America/Los_Angeles'")
    url = load_postgresql_0_4_8(postgres, name)
    postgres.execute(f"SET ROLE app; {POSTGRESQL}", database=name)
    succeed(adopted[1], "oppman.py", "migrate", environ={"DATABASE_URL": url})
    assert "the models fit" in succeed(adopted[1], "oppman.py", "migrate", "check", environ={"DATABASE_URL": url})
    moments = "SELECT (ordered_at AT TIME ZONE 'UTC')::text, (last_seen AT TIME ZONE 'UTC')::text"
    with psycopg.connect(url) as connection:
        found = connection.execute(f"{moments} FROM shop_orders JOIN users ON users.id = user_id").fetchall()
    assert found == [("2024-01-02 10:00:00", "2025-01-31 23:30:00")]
    postgres.drop_database(name)


def test_a_new_database_gets_the_tables_too(adopted: tuple[Path, Path, Report], tmp_path: Path) -> None:
    empty = {"DATABASE_URL": f"sqlite:///{tmp_path}/empty.db"}
    succeed(adopted[1], "oppman.py", "migrate", environ=empty)
    assert "the models fit" in succeed(adopted[1], "oppman.py", "migrate", "check", environ=empty)


def test_the_report_names_what_is_left(adopted: tuple[Path, Path, Report]) -> None:
    _, new, report = adopted
    places = report.places()
    line = OWN["admin/views.py"].splitlines().index("    def can_create(self, request):") + 1
    assert [place for place in places if place.startswith(f"admin/views.py:{line}: `can_create` of CategoryAdmin")]
    assert [place for place in places if place.startswith("main.py:11: Not carried: `async def stamp")]
    assert len(places) == 2, places
    assert all(place in (new / "ADOPTED.md").read_text() for place in places)


def shown(html: str) -> tuple[list[str], list[str], list[str]]:
    """The headings, the fields and the list items of a page."""
    text = re.sub(r"\s+", " ", html)
    fields = [name for name in re.findall(r'<(?:input|button)[^>]*?name="(\w+)"', text) if name != "csrf_token"]
    items = [re.sub(r"<[^>]*>", "", item).strip() for item in re.findall(r"<li>(.*?)</li>", text)]
    return re.findall(r"<h1[^>]*>(.*?)</h1>", text), fields, items


def test_pages_show_what_they_showed(site: Site) -> None:
    templates = Environment(
        loader=DictLoader({name.removeprefix("templates/"): text for name, text in (FRAMEWORKS | OWN).items()})
    )
    row = {"order": {"title": "Blue pot", "id": 1}, "who": "admin", "phone": "0815", "new": False}
    then = templates.get_template("shop.html").render(title="Orders", rows=[row], url_for=lambda *_, **__: "")
    with site.client() as client:
        answer = client.get("/shop/")
        assert shown(answer.text) == shown(then)
        assert "https://" not in answer.text
        assert client.get("/static/css/own.css").text == OWN["static/css/own.css"]
        assert client.get("/about").json() == {"name": "My shop"}
        assert client.get("/shop/products").json() == {"count": 8, "environment": "development"}
        assert "For staff" not in client.get("/contact").text
        assert client.get("/").status_code == 200
    with site.signed_in("staff@example.com") as staff:
        assert "For staff" in staff.get("/contact").text


def test_posts_work_and_need_a_token(site: Site) -> None:
    order = {"title": "Green pot", "when": "2026-01-31T23:30"}
    with site.signed_in("staff@example.com") as staff:
        assert staff.post("/shop/orders", data=order).status_code == 303
        assert "Green pot (staff, None)" in staff.get("/shop/").text
        del staff.headers["X-CSRF-Token"]
        assert staff.post("/shop/orders", data=order).status_code == 403
    with site.client() as visitor:
        assert visitor.post("/shop/orders", data=order).status_code == 401


def test_the_admin_has_the_views(site: Site) -> None:
    with site.signed_in() as admin:
        assert "Orders of the shop" in admin.get("/admin/order/list").text
        assert "0815" in admin.get("/admin/user/list").text
        found = re.search(r"/admin/user/edit/[\w-]+", admin.get("/admin/user/list?search=john").text)
        assert found
        form = {"email": "john@example.com", "is_active": "on", "is_staff": "on", "group": "marketing", "phone": "4711"}
        assert admin.post(found[0], data=form).status_code == 302
        assert "4711" in admin.get("/admin/user/list").text
    with site.signed_in("staff@example.com") as staff:
        assert staff.get("/admin/order/create").status_code == 200
        assert staff.get("/admin/category/list").status_code == 200
        assert staff.get("/admin/category/create").status_code == 403


def test_a_script_is_a_command(adopted: tuple[Path, Path, Report]) -> None:
    assert "Close all orders." in succeed(adopted[1], "oppman.py", "shop", "--help")
    done = run_command(adopted[1], "oppman.py", "shop", "close-orders", "Bye")
    assert re.fullmatch(r"Bye: \d orders\n", done.stdout), done.stderr
    assert done.stderr == ""


def test_scripts_of_the_pages_run(site: Site, chromium_path: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        page = browser.new_page(base_url=site.url)
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto("/login?next=/shop/")
        page.get_by_label("Email").fill("admin@example.com")
        page.get_by_label("Password").fill(account("admin@example.com")["password"])
        page.get_by_role("button", name="Sign in").click()
        toggle = page.locator("li", has_text="Blue pot").locator(".toggle")
        before = toggle.inner_text()
        toggle.click()
        expect(toggle).to_have_text("open" if before == "done" else "done")
        number = int(page.locator("#number").inner_text())
        page.locator("#more").click()
        expect(page.locator("#number")).to_have_text(str(number + 1))
        assert page.get_by_alt_text("Cover").evaluate("image => image.naturalWidth") == 20
        assert page.locator("h1").evaluate("heading => getComputedStyle(heading).color") == "rgb(170, 51, 0)"
        page.get_by_label("Title").fill("Zinc can")
        page.get_by_label("When").fill("2026-01-31T23:30")
        page.get_by_role("button", name="Order").click()
        expect(page.locator("li", has_text="Zinc can (admin, 0815)")).to_be_visible()
        page.get_by_text("Home").evaluate("link => link.removeAttribute('href')")
        page.get_by_text("Home").click()
        expect(page).to_have_title("home")
        assert complaints == []
        browser.close()


def test_nothing_is_overwritten(adopted: tuple[Path, Path, Report], frameworks: Known) -> None:
    old, new, _ = adopted
    before = (new / "ADOPTED.md").read_bytes()
    with pytest.raises(NewFolderExists):
        adopt(old, new, app="shop", known=frameworks)
    assert (new / "ADOPTED.md").read_bytes() == before


@pytest.mark.parametrize("name", ["admin", "json", "jinja2", "my shop"])
def test_a_name_that_is_taken_is_refused(
    adopted: tuple[Path, Path, Report], tmp_path: Path, frameworks: Known, name: str
) -> None:
    with pytest.raises(ProjectError):
        adopt(adopted[0], tmp_path / "new", app=name, known=frameworks)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fault", ["syntax", "rows", "empty"])
def test_a_failure_leaves_nothing_behind(
    tmp_path: Path, frameworks: Known, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = make_old_project(tmp_path / "shop")
    expected: type[ProjectError] = ProjectError
    if fault == "syntax":
        (old / "routes/shop.py").write_text("def\n")
    elif fault == "rows":
        expected = RowsMissing
        monkeypatch.setattr(
            "fastopp.cli.adopt.project.migrate_new_project", lambda folder: (folder / "test.db").unlink() or []
        )
        monkeypatch.setattr("fastopp.cli.adopt.data.count_rows", lambda path: {"users": 2} if path.exists() else {})
    else:
        expected = NotAnOldProject
        (old / "db.py").unlink()
    with pytest.raises(expected):
        adopt(old, tmp_path / "new", app="shop", known=frameworks)
    assert [path.name for path in tmp_path.iterdir()] == ["shop"]
