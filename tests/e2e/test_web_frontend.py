"""The frame of every page, in a real browser under the real policy: no message on the console is tolerated."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from tests.services.browser import ARGUMENTS
from tests.services.web_project import make_app

PAGE = """
{% extends "base.html" %}
{% block hero %}{{ ui.page_head("Head", "Sub") }}{% endblock %}
{% block content %}
<button hx-get="/fail/forbidden" hx-target="#place">forbidden</button>
<button hx-get="/fail/unauthorized" hx-target="#place">unauthorized</button>
<button hx-get="/fail/bug" hx-target="#place">bug</button>
<button hx-post="/form" hx-vals='{"word": "sent"}' hx-target="#place">post</button>
<button hx-get="/page/part.html" hx-target="#place">script</button>
<button hx-get="/page/intruder.html" hx-target="#place">intruder</button>
<div id="place">untouched</div>
<output id="ran"></output>
<script nonce="{{ csp_nonce }}">document.getElementById("ran").textContent = "page"</script>
{{ ui.button("open", data_dialog_open="box") }}
{% call ui.modal("box", "A box") %}<p>inside</p>{% endcall %}
{{ ui.avatar("Ada Lovelace", "/static/nothing.jpg") }}
{{ ui.command("python oppman.py check") }}
<div x-data="counter"><button x-on:click="up" x-text="count"></button><p x-show="count > 1">several</p></div>
{% endblock %}
{% block scripts %}<script src="{{ static_url('counter.js') }}" defer></script>{% include "alpine.html" %}{% endblock %}
"""

PART = """
<script nonce="{{ csp_nonce }}">document.getElementById("ran").textContent += ", part"</script>
<p>swapped</p>
"""
INTRUDER = """
<script nonce="AAAAAAAAAAAAAAAAAAAAAA">document.getElementById("ran").textContent += ", intruder"</script>
<script>document.getElementById("ran").textContent += ", intruder"</script>
<p onclick="document.getElementById('ran').textContent += ', intruder'">swapped</p>
"""

COUNTER = """
document.addEventListener("alpine:init", () => {
  Alpine.data("counter", () => ({ count: 1, up() { this.count += 1; } }));
});
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A project with one page that uses everything."""
    project = tmp_path_factory.mktemp("project")
    (project / "templates").mkdir()
    (project / "templates" / "all.html").write_text(PAGE)
    (project / "templates" / "part.html").write_text(PART)
    (project / "templates" / "intruder.html").write_text(INTRUDER)
    (project / "static").mkdir()
    (project / "static" / "counter.js").write_text(COUNTER)
    running = uvicorn.Server(uvicorn.Config(make_app(project), port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def chromium(chromium_path: str) -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium: Browser, server: str) -> Iterator[Page]:
    """The page, in a window of its own."""
    context = chromium.new_context(base_url=server, color_scheme="light", permissions=["clipboard-write"])
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
    page.goto("/page/all.html")
    yield page
    context.close()
    # The browser and htmx report failed requests; here some are meant to fail.
    expected = ("Failed to load resource", "Response Status", "htmx:")
    assert [text for text in complaints if not text.startswith(expected)] == []


def test_the_theme_is_kept_and_the_systems_by_default(page: Page) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(background)
    assert dark != light
    page.get_by_label("Colour theme").click()
    page.get_by_role("menuitemradio", name="Light").click()
    assert page.evaluate(background) == light
    page.reload()
    assert page.evaluate(background) == light
    expect(page.locator("[data-theme-choice=light]")).to_have_attribute("aria-checked", "true")


def test_inline_scripts_with_the_nonce_run_on_the_page_and_after_a_swap(page: Page) -> None:
    expect(page.locator("#ran")).to_have_text("page")
    page.get_by_text("script", exact=True).click()
    expect(page.get_by_text("swapped")).to_be_visible()
    expect(page.locator("#ran")).to_have_text("page, part")


def test_inline_scripts_without_the_nonce_are_blocked(chromium: Browser, server: str) -> None:
    page = chromium.new_page(base_url=server)
    page.goto("/page/all.html")
    page.get_by_text("intruder").click()
    page.get_by_text("swapped").click()
    expect(page.locator("#ran")).to_have_text("page")
    page.close()


def test_menus_by_keyboard(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    menu = page.locator("summary", has_text="Pages")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Shop")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Shop")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Shop")).to_be_hidden()
    expect(menu).to_be_focused()
    menu.click()
    page.locator("h1").click()
    expect(page.get_by_role("link", name="Shop")).to_be_hidden()


def test_the_menu_of_a_phone(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    page.get_by_label("Menu", exact=True).click()
    expect(page.get_by_role("link", name="Shop")).to_be_visible()
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_dialogs_open_and_close(page: Page) -> None:
    for close in ("Escape", "cross"):
        page.get_by_role("button", name="open").click()
        expect(page.get_by_role("dialog", name="A box")).to_be_visible()
        if close == "cross":
            page.get_by_role("button", name="Close").click()
        else:
            page.keyboard.press("Escape")
        expect(page.get_by_role("dialog", name="A box")).to_be_hidden()


@pytest.mark.parametrize(("what", "words"), [("forbidden", "Only sales may see this."), ("bug", "ValueError")])
def test_htmx_shows_errors_in_the_alert_region(page: Page, what: str, words: str) -> None:
    page.get_by_role("button", name=what).click()
    alerts = page.get_by_role("region", name="Messages")
    expect(alerts).to_contain_text(words)
    expect(page.locator("#place")).to_have_text("untouched")
    alerts.get_by_role("button", name="Dismiss").click()
    expect(alerts).to_be_empty()


def test_htmx_leads_to_sign_in_and_back(page: Page) -> None:
    page.get_by_role("button", name="unauthorized").click()
    page.wait_for_url("**/login?next=/page/all.html")


def test_htmx_says_that_the_server_is_away(page: Page) -> None:
    page.route("**/form", lambda route: route.abort())
    page.get_by_role("button", name="post").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("cannot be reached")


def test_a_proxys_error_page_does_not_land_in_ours(page: Page) -> None:
    page.route("**/form", lambda route: route.fulfill(status=502, body="<h1>Bad gateway</h1>"))
    page.get_by_role("button", name="post").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("status 502")
    expect(page.locator("#place")).to_have_text("untouched")


def test_htmx_carries_the_csrf_token(page: Page) -> None:
    page.request.post("/enter")
    page.reload()
    page.get_by_role("button", name="post").click()
    expect(page.locator("#place")).to_have_text('{"word":"sent"}')


def test_alpine_works_under_the_policy(page: Page) -> None:
    expect(page.get_by_text("several")).to_be_hidden()
    page.get_by_role("button", name="1", exact=True).click()
    expect(page.get_by_text("several")).to_be_visible()


def test_small_things(page: Page) -> None:
    expect(page.locator("img[data-hide-on-error]")).to_be_hidden()
    page.get_by_label("Copy").click()
    expect(page.get_by_label("Copied")).to_be_visible()


def test_a_photo_that_fails_before_the_script_is_there(page: Page) -> None:
    def after_the_photo(route: Route) -> None:
        photo = page.locator("img[data-hide-on-error]")
        while not photo.evaluate("photo => photo.complete"):  # wait_for_function needs eval, which the policy forbids
            page.wait_for_timeout(50)
        route.continue_()

    page.route("**/app.js*", after_the_photo)
    page.reload()  # until the script has run
    expect(page.locator("img[data-hide-on-error]")).to_have_count(1)
    expect(page.locator("img[data-hide-on-error]")).to_be_hidden()


def test_the_api_page(page: Page) -> None:
    page.goto("/docs")
    expect(page.get_by_text("/sign-in-form")).to_be_visible()
