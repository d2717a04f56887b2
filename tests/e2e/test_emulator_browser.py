"""The emulator's page in a browser: shows what happens as it happens, by mouse and by keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from leapcell_emulator.parts import make_services
from tests.services.axe import complaints_async, hold_still_async
from tests.services.browser import ARGUMENTS
from tests.services.emulator import RunningEmulator, running

pytestmark = pytest.mark.asyncio(loop_scope="module")  # for the browser, which all tests share


@pytest_asyncio.fixture(loop_scope="module")
async def emulator() -> AsyncIterator[RunningEmulator]:
    async with running("plain_fastapi", max_request_body=1000) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS) as running,
    ):
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def page(emulator: RunningEmulator, browser: Browser) -> AsyncIterator[Page]:
    complaints: list[str] = []
    shown = await browser.new_page()
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("pageerror", lambda error: complaints.append(str(error)))
    await shown.goto(f"{emulator.emulator.url}/__emulator")
    await expect(shown.locator("#live")).to_have_text("live")
    yield shown
    await shown.close()
    # A refused action is said on the page, and by Chromium too.
    assert [complaint for complaint in complaints if "status of 404" not in complaint] == []


async def test_shows_what_happens(emulator: RunningEmulator, page: Page) -> None:
    await expect(page.locator("#instances h3")).to_have_text(["i1", "i2"])
    await emulator.client.post("/echo", content=b"x" * 2000)
    await expect(page.locator("#events li")).to_contain_text(["The request's body is bigger than 1000 bytes."])
    event = page.locator("#events li").first
    await expect(event.locator("a")).to_have_attribute("href", "https://docs.leapcell.io/limit/")
    await expect(event).to_contain_text("--max-request-body changes it")
    await emulator.client.get("/<b>bold</b>")
    await expect(page.locator("#requests tr")).to_have_count(2)
    await expect(page.locator("#requests")).to_contain_text("GET /%3Cb%3Ebold%3C/b%3E")


async def test_keys(emulator: RunningEmulator, page: Page) -> None:
    def card(name: str) -> Any:
        return page.locator(f"[data-instance={name}]")

    await page.keyboard.press("1")
    await expect(card("i1")).to_be_focused()
    await page.keyboard.press("f")  # it was frozen: continue
    await expect(card("i1").locator(".state")).to_have_text("running")
    await expect(card("i1")).to_be_focused()  # it is the same element after being shown anew
    await page.keyboard.press("f")
    await expect(card("i1").locator(".state")).to_have_text("frozen")
    await page.keyboard.press("k")
    await expect(page.locator("#said")).to_have_text("i1 is gone, with its /tmp.")
    await expect(card("i1")).to_have_count(0)
    await page.keyboard.press("p")
    await expect(page.locator("#live")).to_have_text("paused")


async def test_opens_a_request_and_searches(emulator: RunningEmulator, page: Page) -> None:
    await emulator.client.get("/nothing-here", headers={"X-Who": "Ada"})
    await emulator.client.post("/echo", content=b"<b>body</b>")
    rows = page.locator("#requests tr")
    await expect(rows).to_have_count(2)
    await page.keyboard.press("/")
    await page.keyboard.type("echo")
    await expect(rows.filter(visible=True)).to_have_count(1)
    await page.locator("#filter").fill("")
    await page.get_by_role("button", name="GET /nothing-here").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("X-Who: Ada")
    await expect(dialog).to_contain_text("404")
    found = await complaints_async(page)
    assert found == [], "\n".join(found)
    await dialog.get_by_role("button", name="Send again").click()
    await expect(dialog).to_contain_text("GET /nothing-here was answered with 404")
    await dialog.get_by_role("button", name="Close").click()
    await expect(rows).to_have_count(3)
    await page.get_by_role("button", name="POST /echo").click()
    await expect(dialog).to_contain_text("<b>body</b>")
    await page.keyboard.press("k")  # of the instances behind it
    await expect(dialog).to_be_visible()


async def test_looks_inside_and_changes_rules(chromium_path: str) -> None:
    services = make_services(database=True, object_storage=True, cron=None)
    async with (
        running("plain_fastapi", services=services, async_port=0, instances=1) as emulator,
        await psycopg.AsyncConnection.connect(
            emulator.emulator.variables["DATABASE_URL"], autocommit=True, prepare_threshold=None
        ) as connection,
        async_playwright() as playwright,
    ):
        await connection.execute("create table notes as select n, '<b>note</b>' as text from generate_series(1, 60) n")
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 390, "height": 800})
        await page.goto(f"{emulator.emulator.url}/__emulator")
        await page.get_by_role("button", name="Look inside PostgreSQL").click()
        dialog = page.locator("#look")
        await dialog.get_by_role("button", name="public.notes").click()
        await expect(dialog.locator("tbody tr")).to_have_count(50)
        await expect(dialog.locator("tbody tr").first).to_contain_text("<b>note</b>")
        await dialog.get_by_role("button", name="More").click()
        await expect(dialog.locator("tbody tr")).to_have_count(60)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        found = await complaints_async(page)
        assert found == [], "\n".join(found)
        await dialog.get_by_role("button", name="Back").click()
        await expect(dialog.locator("#look-note")).to_have_text("1 row")
        await page.keyboard.press("Escape")
        await page.locator("#latency").click()
        await expect(page.get_by_role("textbox", name="Latency to the region and back")).to_be_focused()
        await page.keyboard.type("20")
        await page.keyboard.press("Enter")
        await expect(page.locator("#latency")).to_have_text("Latency 20 ms")
        await page.get_by_text("All rules in force").first.click()
        await page.get_by_role("button", name="Change --freeze").click()
        await page.get_by_role("textbox", name="E4 An instance without a request").fill("off")
        found = await complaints_async(page)
        assert found == [], "\n".join(found)
        await page.get_by_role("button", name="Change", exact=True).click()
        await expect(page.locator("#said")).to_contain_text("E4 An instance without a request")
        await expect(page.locator("[data-instance] .state")).to_have_text("running")
        await page.keyboard.press("z")
        await expect(page.locator("#no-instances")).to_be_visible()
        await browser.close()


async def test_says_what_went_wrong(emulator: RunningEmulator, page: Page) -> None:
    await page.keyboard.press("p")
    await expect(page.locator("#live")).to_have_text("paused")
    await emulator.emulator.act("kill", "i2")
    async with page.expect_response("**/act"):
        await page.locator("[data-instance=i2] [data-action=wipe]").click()
    await expect(page.locator("#said.error")).to_have_text("No instance i2 is running.")


async def test_axe_finds_nothing_serious(emulator: RunningEmulator, page: Page) -> None:
    await emulator.client.post("/echo", content=b"x" * 2000)
    await emulator.client.get("/nothing-here")
    await expect(page.locator("#requests tr")).to_have_count(2)
    await page.keyboard.press("p")  # what is shown stays
    for details in await page.locator("details").all():
        await details.evaluate("element => { element.open = true; }")
    await hold_still_async(page)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)
        found = await complaints_async(page)
        assert found == [], "\n".join(found)


async def test_fits_a_phone(page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
