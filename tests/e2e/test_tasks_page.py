"""Tasks in a real browser: started, followed, failed, retried; with a worker, and where only requests work."""

from __future__ import annotations

import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from fastopp.console.main_file import add_apps
from tests.gate import full
from tests.services.browser import ARGUMENTS
from tests.services.site import PATIENCE, Site
from tests.services.task_app import write_app

SECONDS = 1000  # of playwright's milliseconds
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def project(seeded_project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("tasks-page") / "project"
    shutil.copytree(seeded_project, project)
    write_app(project)
    add_apps(project / "main.py", ["chores"])
    return project


@pytest.fixture(scope="module")
def site(project: Path) -> Iterator[Site]:
    with Site(project) as running:
        yield running


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser said on its console."""
    return []


def open_tasks(page: Page, site: Site, complaints: list[str]) -> Page:
    """Open the page of tasks as the superuser."""
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.context.add_cookies(site.cookies())
    answer = page.goto("/oppman/tasks")
    assert answer
    assert answer.status == 200
    return page


@pytest.fixture
def admin(chromium: Browser, site: Site, complaints: list[str]) -> Iterator[Page]:
    with chromium.new_context(base_url=site.url) as context:
        yield open_tasks(context.new_page(), site, complaints)
    assert complaints == []


def press_start(page: Page, name: str) -> None:
    page.locator("select[name=name]").last.select_option(name)
    page.get_by_role("button", name="Start", exact=True).click()


def start(page: Page, name: str) -> int:
    """Start a task; its number."""
    with page.expect_response(lambda response: response.request.method == "POST") as answer:
        press_start(page, name)
    card = re.search(r'id="task-(\d+)"', answer.value.text())
    assert card, answer.value.text()
    return int(card[1])


def row_of(page: Page, task: int) -> Locator:
    """The task in the list."""
    return page.locator(f"#tasks li:has(#open-{task})")


def test_a_task_is_started_and_its_bar_moves_to_the_end(admin: Page) -> None:
    task = start(admin, "slow")
    running = admin.locator("#tasks section").filter(has=admin.get_by_role("heading", name="Running"))
    bar = running.locator(f"progress[data-task-bar='{task}']")  # at 3:30 the nightly clean-up has one, too
    expect(bar).to_be_visible(timeout=15 * SECONDS)
    seen = set()
    for _ in range(40):
        if not (values := bar.evaluate_all("bars => bars.map(bar => bar.value)")):
            break
        seen.update(values)
        admin.wait_for_timeout(200)
    assert len(seen) >= 3  # it moved
    expect(bar).to_have_count(0, timeout=15 * SECONDS)
    row = row_of(admin, task)
    expect(row).to_contain_text("succeeded")
    expect(row).to_contain_text("all steps")
    # The card below the form followed it, too.
    card = admin.locator("#started")
    expect(card).to_contain_text("succeeded")
    card.get_by_role("link", name="slow").click()
    expect(admin.locator("#details")).to_contain_text('"steps": 20')


def test_a_failed_one_says_why_and_is_retried(admin: Page) -> None:
    row = row_of(admin, start(admin, "break"))
    expect(row).to_contain_text("failed", timeout=15 * SECONDS)
    row.locator("summary").click()
    expect(row.locator("pre")).to_contain_text("ValueError: the <b>reason</b>")
    row.get_by_role("button", name=re.compile("Retry")).focus()
    before = admin.locator("#tasks").get_attribute("data-state")
    with admin.expect_response("**/retry") as answer:
        admin.keyboard.press("Enter")
    assert answer.value.ok
    expect(admin.locator("#tasks")).not_to_have_attribute("data-state", before or "", timeout=15 * SECONDS)
    expect(row).to_contain_text("failed", timeout=15 * SECONDS)


def test_what_is_refused_is_said_at_the_head_of_the_page(admin: Page, complaints: list[str]) -> None:
    row = row_of(admin, start(admin, "endless"))
    expect(row).to_contain_text("running", timeout=15 * SECONDS)
    # Two look at the same list, and the other one was faster.
    gone = admin.url + "/999999/cancel"
    admin.route("**/oppman/tasks/*/cancel", lambda route: route.continue_(url=gone), times=1)
    admin.on("dialog", lambda dialog: dialog.accept())
    row.get_by_role("button", name=re.compile("Cancel")).click()
    expect(admin.get_by_role("region", name="Messages")).to_contain_text("no such task")
    expect(admin.locator("#tasks")).to_be_visible()
    admin.reload()
    row.get_by_role("button", name=re.compile("Cancel")).click()
    expect(row).to_contain_text("cancelled", timeout=15 * SECONDS)
    assert [text for text in complaints if "404" not in text] == []
    complaints.clear()


def test_what_is_opened_stays_open_when_the_list_is_new(admin: Page) -> None:
    row = row_of(admin, start(admin, "break"))
    expect(row).to_contain_text("failed", timeout=15 * SECONDS)
    row.locator("summary").click()
    added = row_of(admin, start(admin, "add"))
    expect(added).to_contain_text("succeeded", timeout=15 * SECONDS)
    expect(row.locator("details")).to_have_attribute("open", "")


@full
def test_filters_lead_to_addresses(admin: Page) -> None:
    start(admin, "break")
    expect(admin.locator("#started")).to_contain_text("failed", timeout=15 * SECONDS)
    admin.locator("#filter-status").select_option("failed")
    admin.wait_for_url("**status=failed**")
    rows = admin.locator("#tasks li[class*=items-start]")
    assert set(rows.locator("span.rounded-full").all_inner_texts()) == {"failed"}
    admin.reload()
    expect(admin.locator("#filter-status")).to_have_value("failed")


def test_the_demo_is_initialised_by_a_task(admin: Page) -> None:
    admin.goto("/oppdemo/")
    admin.get_by_role("button", name="Run all steps").click()
    expect(admin.locator("#init-task")).to_contain_text("succeeded", timeout=30 * SECONDS)


@full
def test_photos_are_checked_by_a_task(admin: Page, site: Site) -> None:
    admin.goto("/webinar-registrants")
    image = admin.locator("#registrants img").first
    expect(image).not_to_have_js_property("naturalWidth", 0)  # it is fetched when it is seen; soon it is gone
    shown = image.get_attribute("src")
    assert shown
    (site.upload_dir / shown.removeprefix("/static/uploads/")).unlink()
    admin.get_by_role("button", name="Check photos").click()
    admin.wait_for_url("**/oppman/tasks/*")
    expect(admin.locator("#main")).to_contain_text("1 of them gone", timeout=15 * SECONDS)
    admin.goto("/webinar-registrants")
    expect(admin.locator(f"#registrants img[src='{shown}']")).to_have_count(0)


def test_it_fits_a_phone(admin: Page) -> None:
    admin.set_viewport_size(PHONE)
    for path in ("/oppman/tasks", "/oppman/tasks/1"):
        admin.goto(path)
        assert admin.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path
        assert admin.locator("h1").count() == 1


def test_without_javascript(chromium: Browser, site: Site) -> None:
    with chromium.new_context(base_url=site.url, java_script_enabled=False) as context:
        page = open_tasks(context.new_page(), site, [])
        press_start(page, "add")
        page.wait_for_url(re.compile(r"/oppman/tasks/\d+$"))
        expect(page.locator("#main")).to_contain_text("succeeded", timeout=15 * SECONDS)  # it reloads itself
        page.goto("/oppman/tasks?status=succeeded")
        expect(page.locator("#tasks")).to_contain_text("add")


def test_an_open_stream_does_not_hold_the_server_up(chromium: Browser, project: Path) -> None:
    with Site(project, name="stopping") as site, chromium.new_context(base_url=site.url) as context:
        page = context.new_page()
        with page.expect_request("**/oppman/tasks/events"):
            open_tasks(page, site, [])
        page.wait_for_timeout(500)
        began = time.monotonic()
        site.signal(signal.SIGTERM)
        assert site.process
        site.process.wait(PATIENCE)
        assert time.monotonic() - began < PATIENCE / 2
        assert "Traceback" not in site.log


def test_where_only_requests_have_a_processor_the_page_works(
    chromium: Browser, project: Path, complaints: list[str]
) -> None:
    """As on LeapCell without LEAPCELL_ASYNC_URL: nothing runs but what the browser asks for."""
    environ = {"FASTOPP_PLATFORM": "leapcell", "ENVIRONMENT": "development", "UPLOAD_DIR": "static/uploads"}
    environ["DATABASE_URL"] = "sqlite:///./test.db"
    with Site(project, environ, name="leapcell") as site, chromium.new_context(base_url=site.url) as context:
        page = open_tasks(context.new_page(), site, complaints)
        assert "data-stream" not in page.content()
        row = row_of(page, start(page, "slow"))
        expect(row).to_contain_text("running", timeout=15 * SECONDS)
        expect(page.locator("#started progress")).to_have_attribute("max", "20", timeout=15 * SECONDS)
        expect(row).to_contain_text("succeeded", timeout=30 * SECONDS)
        expect(page.locator("#work-tasks")).to_be_hidden(timeout=15 * SECONDS)
    assert complaints == []
