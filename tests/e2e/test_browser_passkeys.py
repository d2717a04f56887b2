"""Passkeys in a real browser, with the virtual authenticator of its DevTools, under the real policy of pages."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from tests.services.authenticator import decode
from tests.services.browser import ARGUMENTS
from tests.services.site import Site, account

STAFF = "staff@example.com"
BUTTON = "Sign in with a passkey"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}

# What the script of another site would do with a challenge of ours.
ASK_ELSEWHERE = """
async (challenge) => {
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const text = (buffer) => btoa(String.fromCharCode(...new Uint8Array(buffer)))
    .replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const publicKey = { challenge: bytes(challenge), rpId: "localhost", userVerification: "required" };
  const { id, rawId, type, response } = await navigator.credentials.get({ publicKey });
  const answer = {};
  for (const name of ["clientDataJSON", "authenticatorData", "signature", "userHandle"])
    answer[name] = text(response[name]);
  return JSON.stringify({ id, rawId: text(rawId), type, response: answer });
}
"""


@pytest.fixture
def site(seeded_project: Path, tmp_path: Path) -> Iterator[Site]:
    project = tmp_path / "project"
    shutil.copytree(seeded_project, project)
    with Site(project, {"PASSKEYS": "true"}) as running:
        yield running


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)


def open_page(context: BrowserContext, complaints: list[str]) -> tuple[Page, Any]:
    """A page with an authenticator, and the line to its DevTools."""
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    devtools = context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    return page, devtools


def test_register_sign_in_and_remove(site: Site, browser: Browser) -> None:
    home = f"http://localhost:{site.port}"
    complaints: list[str] = []
    context = browser.new_context(base_url=home)
    page, _ = open_page(context, complaints)
    page.goto("/login?next=/account/passkeys/new")
    page.fill('input[name="username"]', account(STAFF)["username"])
    page.fill('input[name="password"]', account(STAFF)["password"])
    page.press('input[name="password"]', "Enter")
    page.fill('input[name="name"]', "my laptop")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("my laptop")).to_be_visible()

    sent: list[Request] = []
    context.clear_cookies()
    page.goto("/login?next=/account/passkeys")
    page.on("request", lambda request: sent.append(request) if request.url == f"{home}/login/passkey" else None)
    page.get_by_role("button", name=BUTTON).click()
    expect(page.get_by_text("my laptop")).to_be_visible()
    assert complaints == []

    # An eavesdropper sends the same once more, with the cookie that has the challenge.
    assert sent
    assert sent[0].post_data is not None
    headers = {name: value for name, value in sent[0].all_headers().items() if name in ("cookie", "content-type")}
    replayed = httpx.post(sent[0].url, content=sent[0].post_data, headers=headers)
    assert replayed.status_code == 401

    # Another site on this host name asks for the same passkey.
    elsewhere = f"http://localhost:{site.port + 1}"
    page.route(f"{elsewhere}/**", lambda route: route.fulfill(body="<p>evil</p>", content_type="text/html"))
    page.goto(elsewhere)
    with httpx.Client(base_url=home, headers={"Accept": "text/html"}) as client:
        challenge = client.post("/login/passkey/options").json()["challenge"]
        answer = page.evaluate(ASK_ELSEWHERE, challenge)
        origin = json.loads(decode(json.loads(answer)["response"]["clientDataJSON"]))["origin"]
        assert origin == elsewhere
        token = _form_token(client.get("/login/passkey").text)
        refused = client.post("/login/passkey", data={"credential": answer, "csrf_token": token})
        assert refused.status_code == 401

    page.goto(f"{home}/account/passkeys")
    page.get_by_role("button", name="Remove my laptop").click()
    expect(page.get_by_text("You have none yet.")).to_be_visible()
    context.clear_cookies()
    page.goto("/login")
    page.get_by_role("button", name=BUTTON).click()
    expect(page.get_by_text("This passkey does not sign in here.")).to_be_visible()
    context.close()


def test_without_a_passkey_the_page_says_so(site: Site, browser: Browser) -> None:
    complaints: list[str] = []
    page, _ = open_page(browser.new_context(base_url=f"http://localhost:{site.port}"), complaints)
    page.goto("/login")
    page.get_by_role("button", name=BUTTON).click()
    expect(page.get_by_text("No passkey was used.")).to_be_visible()
    page.context.close()


def _form_token(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page
    return found[1]
