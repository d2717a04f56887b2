"""The project in a real browser: what somebody sees and does, by mouse, by keyboard, on a phone.

Whatever a page does here, it leaves no message on the console, breaks no policy and asks no other server.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.gate import full, only_full
from tests.services.browser import ARGUMENTS
from tests.services.front import Front, Network
from tests.services.postgres import ENCODED_PASSWORD, USER, Postgres
from tests.services.site import Site, copy_project, succeed

PHONE = {"width": 320, "height": 800}  # the narrowest that WCAG 1.4.10 asks for

PUBLIC = (
    "/",
    "/login",
    "/database-demo",
    "/webinar-demo",
    "/ai-demo",
    "/design-demo",
    "/database-status",
    "/license",
    "/docs",
    "/no-such-page",
)
STAFF = ("/protected", "/webinar-registrants", "/oppman/", "/oppdemo/")
ADMIN = (
    "/admin/",
    "/admin/product/list",
    "/admin/product/create",
    "/admin/user/list",
    "/admin/webinar-registrants/list",
    "/admin/audit-log/list",
)


@pytest.fixture(scope="module")
def own_site(seeded_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A seeded project that these tests change."""
    project = tmp_path_factory.mktemp("browser") / "project"
    shutil.copytree(seeded_project, project)
    with Site(project) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


class Watch:
    """What a browser complained of, and where it went."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()
        """Parts of complaints that a test provokes: the browser and htmx report answers that are no success."""
        self.hosts: set[str] = set()
        context.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        context.on("console", self._console)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))

    def _console(self, message: object) -> None:
        if message.type in ("error", "warning"):  # type: ignore[attr-defined]
            self.complaints.append(message.text)  # type: ignore[attr-defined]

    def unexpected(self) -> list[str]:
        """What a test did not foresee."""
        return [text for text in self.complaints if not any(part in text for part in self.expected)]


@pytest.fixture
def watch() -> list[Watch]:
    return []


@pytest.fixture
def page(chromium: Browser, own_site: Site, watch: list[Watch]) -> Iterator[Page]:
    """A window of nobody's."""
    context = chromium.new_context(base_url=own_site.url, color_scheme="light")
    context.set_default_timeout(20_000)
    watched = Watch(context)
    watch.append(watched)
    yield context.new_page()
    context.close()
    assert watched.unexpected() == []
    assert watched.hosts <= {f"127.0.0.1:{own_site.port}", ""}  # no host: data: and blob: addresses


@pytest.fixture(scope="module")
def cookies(own_site: Site) -> list[Any]:
    return own_site.cookies()


@pytest.fixture
def admin(page: Page, cookies: list[Any]) -> Page:
    """The same window, with the superuser signed in."""
    page.context.add_cookies(cookies)
    return page


def picture(folder: Path, colour: str) -> Path:
    path = folder / f"{colour}.jpg"
    buffer = BytesIO()
    Image.new("RGB", (300, 200), colour).save(buffer, "JPEG")
    path.write_bytes(buffer.getvalue())
    return path


def no_horizontal_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_signing_in_and_out(page: Page) -> None:
    page.goto("/webinar-registrants")
    page.wait_for_url("**/login?next=/webinar-registrants")
    page.get_by_label("Email").fill("staff@example.com")
    page.get_by_label("Password").fill("test123")
    page.keyboard.press("Enter")
    page.wait_for_url("**/webinar-registrants")
    expect(page.get_by_role("banner")).to_contain_text("staff@example.com")
    page.goto("/")
    expect(page.get_by_role("banner")).to_contain_text("staff@example.com")
    page.get_by_role("banner").locator("summary", has_text="staff@example.com").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/")
    expect(page.get_by_role("banner")).not_to_contain_text("staff@example.com")


def test_a_wrong_password(page: Page, watch: list[Watch]) -> None:
    watch[0].expected = ("401",)
    page.goto("/login?next=/protected")
    page.get_by_label("Email").fill("sales@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").first).to_be_visible()
    expect(page.get_by_label("Email")).to_have_value("sales@example.com")
    expect(page.get_by_label("Password")).to_have_value("")
    page.get_by_label("Password").fill("test123")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/protected")


def rows(page: Page) -> Locator:
    return page.locator("#products tbody tr")


def test_the_database_demo(page: Page) -> None:
    page.goto("/database-demo")
    expect(rows(page)).to_have_count(8)
    loads = page.evaluate("performance.timeOrigin")
    page.get_by_role("link", name=re.compile("^Price")).click()
    page.wait_for_url("**sort=*price*")
    by_price = page.url
    prices = [
        float(text.split("\n")[0].strip("$").replace(",", ""))
        for text in rows(page).locator("td:nth-child(3)").all_inner_texts()
    ]
    assert prices in (sorted(prices), sorted(prices, reverse=True))
    page.locator("#filters input[name=q]").fill("zzzz")
    expect(page.get_by_text("No product fits")).to_be_visible()
    page.wait_for_url("**q=zzzz*")
    assert page.evaluate("performance.timeOrigin") == loads  # the page was not loaded again
    page.go_back()
    page.wait_for_url(by_price)
    expect(rows(page)).to_have_count(8)
    page.reload()
    expect(rows(page)).to_have_count(8)
    page.go_back()
    page.wait_for_url("**/database-demo")


def test_paging(page: Page, own_site: Site) -> None:
    with closing(sqlite3.connect(own_site.project / "test.db")) as database:
        for number in range(30):
            database.execute(
                "insert into products (id, name, price, category, in_stock, created_at, updated_at)"
                " values (?, ?, 1.0, 'Many', 1, '2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000')",
                (f"{number:032x}", f"Item {number:02}"),
            )
        database.commit()
    try:
        page.goto("/database-demo?category=Many")
        expect(rows(page)).to_have_count(10)
        page.get_by_role("navigation", name=re.compile("[Pp]age")).get_by_role("link", name="Next").click()
        page.wait_for_url("**page=2*")
        expect(rows(page)).to_have_count(10)
        assert "category=Many" in page.url
        page.go_back()
        page.wait_for_url(re.compile(r"category=Many$"))
    finally:
        with closing(sqlite3.connect(own_site.project / "test.db")) as database:
            database.execute("delete from products where category = 'Many'")
            database.commit()


def registrant(page: Page) -> Locator:
    return page.locator("#registrants li[id^=registrant-]").filter(has_text="@").first


def action(page: Page, row: str, name: str) -> None:
    page.locator(f"#{row} summary").click()
    page.locator(f"#{row}").get_by_role("button", name=name).click()


def test_a_photo_is_sent_replaced_and_deleted(admin: Page, own_site: Site, tmp_path: Path) -> None:
    admin.goto("/webinar-registrants")
    row = registrant(admin).get_attribute("id")
    assert row
    image = admin.locator(f"#{row} img")
    addresses = [image.get_attribute("src") if image.count() else None]
    for colour in ("red", "blue"):
        action(admin, row, "Change photo" if addresses[-1] else "Add a photo")
        admin.get_by_role("dialog").locator("input[type=file]").set_input_files(picture(tmp_path, colour))
        admin.get_by_role("button", name="Save photo").click()
        expect(admin.get_by_role("region", name="Messages")).to_contain_text("successfully")
        expect(admin.get_by_role("dialog")).to_be_hidden()
        expect(image).not_to_have_attribute("src", addresses[-1] or "")
        address = image.get_attribute("src")
        assert address
        # The browser decoded it, and it is what was sent.
        expect(image).to_have_js_property("complete", value=True)
        assert image.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
        pixel = Image.open(BytesIO(admin.request.get(address).body())).convert("RGB").getpixel((5, 5))
        assert isinstance(pixel, tuple)
        assert max(range(3), key=lambda channel: pixel[channel]) == (0 if colour == "red" else 2)
        addresses.append(address)
    admin.once("dialog", lambda dialog: dialog.accept())
    action(admin, row, "Delete photo")
    expect(image).to_have_count(0)
    admin.reload()
    expect(image).to_have_count(0)


def test_a_file_that_is_no_picture(admin: Page, tmp_path: Path, watch: list[Watch]) -> None:
    watch[0].expected = ("415", "Response Status")
    admin.goto("/webinar-registrants")
    row = registrant(admin).get_attribute("id")
    assert row
    bad = tmp_path / "evil.jpg"
    bad.write_text("<script>alert(1)</script>")
    admin.locator(f"#{row} summary").click()
    admin.locator(f"#{row} button", has_text="photo").first.click()
    admin.get_by_role("dialog").locator("input[type=file]").set_input_files(bad)
    admin.get_by_role("button", name="Save photo").click()
    expect(admin.get_by_role("dialog").get_by_role("alert").first).to_contain_text(
        re.compile("picture|image", re.IGNORECASE)
    )


NASTY = """<script>document.title = "owned"</script>
"double" 'single' & <b>bold</b> {{ 7 * 7 }} <img src=x onerror=alert(1)>
ünïcödé 🙂 last line"""


def test_notes_are_text(admin: Page) -> None:
    admin.goto("/webinar-registrants")
    row = registrant(admin).get_attribute("id")
    assert row
    action(admin, row, "Edit notes")
    admin.get_by_role("dialog").get_by_label("Notes").fill(NASTY)
    admin.get_by_role("button", name="Save notes").click()
    expect(admin.get_by_role("region", name="Messages")).to_contain_text("successfully")
    for _ in range(2):
        assert NASTY in admin.locator(f"#{row}").inner_text()
        assert admin.title() != "owned"
        admin.reload()
    action(admin, row, "Edit notes")
    expect(admin.get_by_role("dialog").get_by_label("Notes")).to_have_value(NASTY)
    admin.keyboard.press("Escape")
    expect(admin.get_by_role("dialog")).to_be_hidden()


def test_by_keyboard_alone(admin: Page) -> None:
    """The menu opens, the dialog takes the focus, Escape gives it back."""
    admin.goto("/webinar-registrants")
    menu = admin.locator("#registrants summary").first
    menu.focus()
    admin.keyboard.press("Enter")
    for _ in range(6):
        admin.keyboard.press("Tab")
        if admin.evaluate("document.activeElement.textContent").strip() == "Edit notes":
            break
    admin.keyboard.press("Enter")
    dialog = admin.get_by_role("dialog")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_label("Notes")).to_be_focused()
    admin.keyboard.press("Control+A")
    admin.keyboard.type("typed")
    for _ in range(3):
        admin.keyboard.press("Tab")
        if admin.evaluate("document.activeElement.textContent").strip() == "Save notes":
            break
    admin.keyboard.press("Enter")
    expect(admin.get_by_role("region", name="Messages")).to_contain_text("successfully")
    expect(dialog).to_be_hidden()
    expect(admin.locator("#registrants li").first).to_contain_text("typed")


def test_the_theme_is_kept_from_page_to_page(page: Page, watch: list[Watch]) -> None:
    watch[0].expected = ("404",)
    page.goto("/")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_label("Colour theme").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    dark = page.evaluate(background)
    assert dark != light
    for path in ("/database-demo", "/login", "/no-such-page"):
        page.goto(path)
        assert page.evaluate(background) == dark


@full
def test_what_others_wrote_follows_the_theme(admin: Page) -> None:
    """Swagger UI and SQLAdmin: the system's theme, else the chosen one."""
    for path, element in (("/docs", ".swagger-ui"), ("/admin/user/list", "body")):
        admin.goto(path)
        place = admin.locator(element).first
        expect(place).to_be_visible()
        light = place.evaluate("element => getComputedStyle(element).backgroundColor")
        admin.emulate_media(color_scheme="dark")
        expect(place).not_to_have_css("background-color", light)
        admin.emulate_media(color_scheme="light")
        expect(place).to_have_css("background-color", light)
        admin.evaluate("localStorage.setItem('theme', 'dark')")
        admin.reload()
        expect(place).to_be_visible()
        expect(place).not_to_have_css("background-color", light)
        admin.evaluate("localStorage.removeItem('theme')")


@pytest.mark.parametrize("width", [PHONE["width"], *only_full(1280)])
def test_every_page_is_quiet_and_fits(admin: Page, watch: list[Watch], width: int) -> None:
    """No message on the console, nothing from elsewhere (the fixture looks), one heading, no sideways scrolling."""
    watch[0].expected = ("404",)  # /no-such-page
    admin.set_viewport_size({"width": width, "height": 800})
    for path in (*PUBLIC, *STAFF, *ADMIN):
        answer = admin.goto(path)
        assert answer
        assert answer.status == (404 if path == "/no-such-page" else 200), path
        admin.wait_for_load_state("networkidle")
        assert no_horizontal_scroll(admin), path
        if path not in (*ADMIN, "/docs"):  # which others wrote
            assert admin.locator("h1").count() == 1, path
            assert admin.title(), path


def test_the_admin(admin: Page) -> None:
    admin.goto("/admin/product/create")
    admin.locator("input[name=name]").fill('A <b>"new"</b> thing')
    admin.locator("input[name=price]").fill("12.5")
    admin.locator("input[name=category]").fill("Testing")
    admin.get_by_role("button", name="Save", exact=True).click()
    admin.wait_for_url("**/admin/product/list**")
    admin.goto("/admin/product/list?search=thing")
    row = admin.locator("tbody tr").filter(has_text='A <b>"new"</b> thing')
    expect(row).to_have_count(1)
    row.locator("a[href*='/edit/']").first.click()
    admin.locator("input[name=price]").fill("13.5")
    admin.get_by_role("button", name="Save", exact=True).click()
    admin.wait_for_url("**/admin/product/list**")
    admin.goto("/admin/product/list?search=thing")
    expect(admin.locator("tbody")).to_contain_text("13.5")
    exported = admin.request.get("/admin/product/export/csv")
    assert exported.status == 200
    assert "13.5" in exported.text()
    admin.locator("tbody [data-bs-target='#modal-delete']").first.click()
    expect(admin.get_by_role("button", name="Delete", exact=True)).to_be_visible()
    admin.locator("#modal-delete .btn-close").click()
    expect(admin.locator("tbody")).to_contain_text("13.5")
    for button in ("tbody [data-bs-target='#modal-delete']", "#modal-delete-button"):  # as fast as nobody can
        admin.locator(button).first.evaluate("button => button.click()")
    expect(admin.locator("tbody")).not_to_contain_text("13.5")


BACKGROUND = "element => getComputedStyle(element).backgroundColor"
TOUCH = 44  # pixels a side (WCAG 2.2, 2.5.5)


def test_the_admin_has_the_sites_look(admin: Page) -> None:
    for scheme in ("light", "dark"):
        admin.emulate_media(color_scheme=scheme)
        admin.goto("/oppman/")
        page = admin.locator("body").evaluate(BACKGROUND)
        button = admin.locator(".btn-primary").first.evaluate(BACKGROUND)
        admin.goto("/admin/product/create")
        assert admin.locator("body").evaluate(BACKGROUND) == page
        assert admin.get_by_role("button", name="Save", exact=True).evaluate(BACKGROUND) == button
        assert admin.locator("aside").evaluate(BACKGROUND) == admin.locator(".card").evaluate(BACKGROUND)


def test_lists_of_the_admin_adapt(admin: Page) -> None:
    admin.set_viewport_size({"width": 1280, "height": 800})
    admin.goto("/admin/product/list")
    table = admin.locator(".table-responsive")
    assert table.evaluate("box => box.scrollWidth <= box.clientWidth"), "no column is cut off"
    expect(admin.get_by_text("Scroll sideways")).to_be_hidden()
    expect(admin.get_by_role("link", name="Books")).to_be_hidden()
    admin.get_by_text("Filters", exact=True).click()
    admin.get_by_role("link", name="Books").click()
    expect(admin.locator("tbody tr")).to_have_count(1)
    expect(admin.get_by_text("Filters (1)")).to_be_visible()
    admin.get_by_title("Clear filter").click()
    expect(admin.get_by_text("Filters", exact=True)).to_be_visible()

    photo = """() => {
        const photo = Object.assign(document.createElement("img"), { height: 40 });
        document.body.append(photo);
        return photo.getBoundingClientRect().height;
    }"""
    assert admin.evaluate(photo) == 40, "a photo of `photo_columns` is as tall as its attribute says"
    admin.reload()

    admin.set_viewport_size({"width": 390, "height": 800})
    expect(admin.get_by_text("Scroll sideways")).to_be_visible()
    assert table.get_attribute("tabindex") == "0"
    for link in admin.locator("tbody tr").first.locator("td.text-end a").all():
        box = link.bounding_box()
        assert box
        assert min(box["width"], box["height"]) >= TOUCH
        assert link.get_attribute("aria-label") in ("View", "Edit", "Delete")
    assert admin.evaluate("document.documentElement.scrollWidth") == 390


def test_rows_are_deleted_in_the_sites_dialog(admin: Page) -> None:
    admin.goto("/admin/product/list")
    admin.get_by_role("button", name="Actions").click()
    admin.get_by_text("Delete selected items").click()
    expect(admin.get_by_role("dialog", name="Nothing is selected")).to_be_visible()
    admin.keyboard.press("Escape")
    expect(admin.get_by_role("dialog")).to_have_count(0)
    admin.locator(".select-box").first.check()
    admin.locator(".select-box").nth(1).check()
    admin.get_by_role("button", name="Actions").click()
    admin.get_by_text("Delete selected items").click()
    expect(admin.get_by_role("dialog", name="Delete 2 selected rows?")).to_be_visible()
    admin.get_by_role("button", name="Cancel").click()
    name = admin.locator("tbody tr").first.locator("td").nth(2).inner_text()
    admin.locator("tbody tr").first.get_by_role("link", name="Delete").click()
    expect(admin.get_by_role("dialog", name=f"Delete Product “{name}”?")).to_be_visible()


def test_accounts_on_a_phone(admin: Page) -> None:
    admin.set_viewport_size({"width": 390, "height": 800})
    admin.goto("/oppman/")
    row = admin.locator("#users tr").filter(has_text="bob@example.com")
    expect(row.get_by_role("button")).to_have_count(2)
    for part in (*row.locator("select").all(), *row.get_by_role("button").all()):
        box = part.bounding_box()
        assert box
        assert box["height"] >= TOUCH
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


def test_a_page_recovers_by_itself(
    chromium: Browser, tmp_path: Path, postgres: Postgres, postgres_database: str
) -> None:
    with Front(postgres.socket_path) as front, Network(front.host, front.port) as network:
        url = f"postgresql://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{network.port}/{postgres_database}"
        project = copy_project(tmp_path / "project")
        environ = {"DATABASE_URL": url, "DB_TIMEOUT": "2"}
        succeed(project, "oppdemo.py", "init", environ=environ)
        with Site(project, environ) as site:
            context = chromium.new_context(base_url=site.url)
            watched = Watch(context)
            pages = []
            with network.away():
                for path in ("/database-demo", "/webinar-demo", "/"):
                    page = context.new_page()
                    answer = page.goto(path)
                    assert answer
                    assert answer.status == (200 if path == "/" else 503)
                    expect(page.locator("main")).to_contain_text(re.compile("database", re.IGNORECASE))
                    pages.append(page)
            expect(rows(pages[0])).to_have_count(8, timeout=30_000)
            expect(pages[1].locator("main img").first).to_be_visible(timeout=30_000)
            expect(pages[2].locator("main")).to_contain_text("8 products", timeout=30_000)
            context.close()
            watched.expected = ("503",)
            assert watched.unexpected() == []
