"""Every page under axe-core, light and dark, on a desktop and on a phone: nothing serious, nothing critical."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from fastopp.console.main_file import add_apps
from tests.gate import full
from tests.services.axe import complaints, hold_still
from tests.services.browser import ARGUMENTS
from tests.services.site import SECRET_KEY, Site, succeed

ENVIRON = {"EMERGENCY_ACCESS_ENABLED": "true", "SECRET_KEY": SECRET_KEY, "SIGN_UP": "open", "PASSKEYS": "true"}
DESKTOP, PHONE = 1280, 390
NEXT_FRAME = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
"""Until then a page's scripts have heard of another theme."""
BROKEN = """\
from fastapi import APIRouter

router = APIRouter()


@router.get("/broken")
async def broken() -> None:
    secret = {"password": "hidden", "colour": "blue"}
    raise ValueError(f"Nothing works: {len(secret)}")
"""

PUBLIC = (
    "/",
    "/login",
    "/database-demo",
    "/database-demo?q=nothing-is-called-this",
    "/webinar-demo",
    "/ai-demo",
    "/design-demo",
    "/database-status",
    "/license",
    "/no-such-page",
    "/oppman/emergency",
    "/admin/login",
    "/sign-up",
    "/forgot-password",
    "/sign-up/confirm?token=expired",
)
STAFF = (
    "/protected",
    "/webinar-registrants",
    "/oppman/",
    "/oppman/tasks",
    "/oppman/mail",
    "/oppman/errors",
    "/oppman/alerts",
    "/oppman/errors/1",
    "/oppman/monitor",
    "/oppman/monitor?span=week&route=/broken",
    "/oppman/invitations",
    "/oppdemo/",
    "/database-status",
    "/broken",
)
FACTORS = ("/second-factor", "/second-factor/set-up", "/passkeys", "/passkeys/new")
ACCOUNT = ("", *FACTORS, "/sessions", "/tokens", "/address", "/password", "/confirm", "/delete")
VIEWS = ("product", "user", "webinar-registrants", "audit-log")


@pytest.fixture(scope="module")
def site(seeded_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    project = tmp_path_factory.mktemp("axe") / "project"
    shutil.copytree(seeded_project, project)
    (project / "broken").mkdir()
    (project / "broken/__init__.py").write_text("")
    (project / "broken/routes.py").write_text(BROKEN)
    add_apps(project / "main.py", ["broken"])
    succeed(project, "oppman.py", "tasks", "queue", "clean-up")
    with Site(project, ENVIRON) as running:
        with running.client() as client:
            assert client.get("/broken").status_code == 500  # for the pages of errors
        yield running


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


class Visitor:
    """Looks at pages, and collects what axe says of each."""

    def __init__(self, page: Page, site: Site) -> None:
        self.page = page
        self.site = site
        self.found: list[str] = []

    def visit(self, path: str) -> None:
        self.page.goto(path)
        if path == "/docs":
            self.page.locator(".opblock-summary-control").first.wait_for()
        self.look(path, alike=".opblock" if path == "/docs" else None)

    def look(self, name: str, **part: str | None) -> None:
        """Look at what is there now, or at a part of it, in both themes. Colours are all that the dark one changes."""
        hold_still(self.page)
        for scheme in ("light", "dark"):
            self.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            self.page.evaluate(NEXT_FRAME)
            found = complaints(self.page, colours=scheme == "dark", **part)
            self.found += [f"{name} ({scheme}) {each}" for each in found]
        self.page.emulate_media(color_scheme="light", reduced_motion="reduce")

    def sign_in(self, email: str) -> None:
        self.page.context.clear_cookies()
        self.page.context.add_cookies(self.site.cookies(email))


@pytest.fixture(params=[DESKTOP, pytest.param(PHONE, marks=full)])
def visitor(request: pytest.FixtureRequest, chromium: Browser, site: Site) -> Iterator[Visitor]:
    context = chromium.new_context(base_url=site.url, viewport={"width": request.param, "height": 800})
    context.set_default_timeout(20_000)
    someone = Visitor(context.new_page(), site)
    yield someone
    context.close()
    assert someone.found == [], "\n".join(someone.found)


def test_pages_for_everyone(visitor: Visitor) -> None:
    for path in PUBLIC:
        visitor.visit(path)
    page = visitor.page
    visitor.visit("/docs")
    page.locator(".opblock-summary-control").first.click()
    expect(page.locator(".opblock-body").first).to_be_visible()
    page.get_by_role("button", name="Try it out").first.click()
    visitor.look("/docs, an operation", inside=".opblock.is-open")
    page.goto("/login")
    page.get_by_label("Email").fill("nobody@example.com")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert").first).to_be_visible()
    visitor.look("/login, refused")
    page.goto("/sign-up")
    page.get_by_label("Email").fill("new@example.com")
    page.get_by_label("Password").fill("short")
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_text("8 characters").first).to_be_visible()
    visitor.look("/sign-up, refused")


def test_pages_for_staff_and_superusers(visitor: Visitor) -> None:
    visitor.sign_in("staff@example.com")
    visitor.visit("/oppman/")  # 403
    visitor.sign_in("admin@example.com")
    for path in STAFF:
        visitor.visit(path)
    page = visitor.page
    page.goto("/oppman/tasks")
    visitor.visit(str(page.locator("a[href^='/oppman/tasks/']").first.get_attribute("href")))
    page.set_extra_http_headers({"X-Forwarded-For": "203.0.113.7"})
    visitor.visit("/broken")  # 500, for others
    expect(page.locator("main")).not_to_contain_text("Nothing works")


def test_the_own_account(visitor: Visitor) -> None:
    visitor.sign_in("staff@example.com")
    page = visitor.page
    for path in ACCOUNT:
        visitor.visit(f"/account{path}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Delete the account for good").click()
    expect(page.get_by_text("This is not your password.")).to_be_visible()
    visitor.look("/account/delete, refused")
    page.goto("/account/tokens")
    page.get_by_label("Name").fill("a robot")
    page.get_by_role("button", name="Create").press("Enter")
    expect(page.get_by_text("Copy it now")).to_be_visible()
    visitor.look("/account/tokens, created")
    visitor.visit("/account/tokens")
    page.get_by_role("button", name="Revoke: a robot").press("Enter")
    expect(page.get_by_text("The token was revoked.")).to_be_visible()
    visitor.look("/account/tokens, revoked")


def test_dialogs(visitor: Visitor) -> None:
    visitor.sign_in("admin@example.com")
    page = visitor.page
    page.goto("/webinar-registrants")
    row = page.locator("#registrants li[id^=registrant-]").filter(has_text="@").first
    for name in ("Edit notes", re.compile("photo")):
        row.locator("summary").click()
        visitor.look("/webinar-registrants, its menu")
        row.get_by_role("button", name=name).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        visitor.look(f"/webinar-registrants, {name}")
        page.keyboard.press("Escape")
    page.get_by_label("Colour theme").click()
    visitor.look("the menu of themes")


def test_the_admin_panel(visitor: Visitor) -> None:
    visitor.sign_in("admin@example.com")
    page = visitor.page
    visitor.visit("/admin/")
    for view in VIEWS:
        visitor.visit(f"/admin/{view}/list")
        links = [page.locator(f"tbody a[href*='/{kind}/']") for kind in ("details", "edit")]
        for path in [link.first.get_attribute("href") for link in links if link.count()]:
            visitor.visit(str(path))
    visitor.visit("/admin/product/create")
    page.locator("input[name=price]").fill("much")
    page.get_by_role("button", name="Save", exact=True).click()
    visitor.look("/admin/product/create, refused")
    page.goto("/admin/product/list")
    page.get_by_text("Filters", exact=True).click()
    visitor.look("/admin/product/list, filters")
    page.get_by_role("button", name="Actions").click()
    visitor.look("/admin/product/list, actions")
    page.get_by_text("Delete selected items").click()
    expect(page.get_by_role("dialog", name="Nothing is selected")).to_be_visible()
    visitor.look("/admin/product/list, nothing selected")
    page.keyboard.press("Escape")
    page.locator("tbody tr").first.get_by_role("link", name="Delete").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    visitor.look("/admin/product/list, deleting")


def test_the_emergency_dashboard(visitor: Visitor, site: Site) -> None:
    printed = succeed(site.project, "oppman.py", "emergency", environ=ENVIRON)
    token = printed.partition("Token: ")[2].split()[0]
    page = visitor.page
    page.goto("/oppman/emergency")
    page.locator("input[type=password]").fill(token)
    page.get_by_role("button").first.click()
    page.wait_for_url("**/oppman/emergency/dashboard")
    visitor.look("/oppman/emergency/dashboard")
