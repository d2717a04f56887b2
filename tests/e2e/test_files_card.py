"""The card of uploaded files on the Oppman page, in a real browser, with JavaScript and without."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.services.browser import ARGUMENTS
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import Fault, FaultProxy
from tests.services.site import Site, account


@pytest.fixture
def site(seeded_project: Path, rclone: RcloneServer, tmp_path: Path) -> Iterator[tuple[Site, FaultProxy]]:
    """A project of its own with three files, and the proxy in front of its bucket."""
    project = tmp_path / "project"
    shutil.copytree(seeded_project, project)
    uploads = project / "static" / "uploads"
    shutil.rmtree(uploads, ignore_errors=True)
    (uploads / "notes").mkdir(parents=True)
    for number in range(3):
        (uploads / "notes" / f"{number}.txt").write_bytes(bytes(number + 1))
    with FaultProxy(rclone) as proxy:
        environ = {
            "STORAGE_TYPE": "filesystem",
            "S3_ACCESS_KEY": ACCESS_KEY,
            "S3_SECRET_KEY": SECRET_KEY,
            "S3_BUCKET": rclone.create_bucket(),
            "S3_ENDPOINT_URL": proxy.endpoint,
        }
        with Site(project, environ) as running:
            yield running, proxy


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


def open_card(page: Page) -> None:
    page.goto("/login?next=/oppman/")
    page.fill('input[name="username"]', account("admin@example.com")["username"])
    page.fill('input[name="password"]', account("admin@example.com")["password"])
    page.press('input[name="password"]', "Enter")
    page.wait_for_url("**/oppman/")


def press(page: Page, job: str) -> None:
    page.locator(f'form[action="/oppman/files/{job}"] button').click()


def test_it_compares_and_shows_that_a_backup_goes_on(site: tuple[Site, FaultProxy], browser: Browser) -> None:
    running, proxy = site
    page = browser.new_page(base_url=running.url)
    complaints: list[str] = []
    page.on(
        "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
    )
    open_card(page)
    state = page.locator("#files-state")
    expect(state).to_contain_text("Files in the folder")
    expect(state.locator("dd").first).to_have_text("3")

    press(page, "verify")
    expect(page.locator("#files-result")).to_contain_text("not in the Object Storage  notes/1.txt")
    expect(state).to_contain_text("3 are not in the Object Storage")

    proxy.faults = [Fault("PUT", times=1, delay=2)]
    press(page, "backup")
    expect(state.get_by_role("progressbar").first).to_be_visible()
    assert complaints == []
    page.close()


def test_without_javascript_the_work_is_done_in_the_request(
    site: tuple[Site, FaultProxy], browser: Browser, rclone: RcloneServer
) -> None:
    running, _ = site
    photo = running.upload_dir / "notes" / "2.txt"
    page = browser.new_page(base_url=running.url, java_script_enabled=False)
    open_card(page)
    press(page, "backup")
    expect(page.get_by_text("3 files backed up, 0 were there already.")).to_be_visible()
    assert (rclone.bucket(running.environ["S3_BUCKET"]) / "notes" / "2.txt").read_bytes() == bytes(3)

    photo.unlink()
    page.goto("/oppman/")
    press(page, "restore")
    expect(page.get_by_text("1 file restored, 2 were there already.")).to_be_visible()
    assert photo.read_bytes() == bytes(3)

    page.goto("/oppman/")
    press(page, "verify")
    expect(page.get_by_text("Both sides are the same: 3 files.")).to_be_visible()
    page.close()
