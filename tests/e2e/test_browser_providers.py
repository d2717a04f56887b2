"""A browser goes to a provider and back: under the policy of our pages, by a click, and by the keyboard."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.services.axe import complaints, hold_still
from tests.services.browser import ARGUMENTS
from tests.services.identity_provider import CLIENT_ID, CLIENT_SECRET, PERSON, identity_provider
from tests.services.site import Site, copy_project, succeed


def test_to_the_provider_and_back(chromium_path: str, tmp_path: Path) -> None:
    with identity_provider(time.time) as provider, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        environ = {
            "OIDC_ISSUER": provider.issuer,
            "OIDC_CLIENT_ID": CLIENT_ID,
            "OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "OIDC_NAME": "Jo's",
            "SIGN_UP": "open",
            "PORT": port,
            "SITE_URL": f"http://127.0.0.1:{port}",
        }
        project = copy_project(tmp_path / "project")
        succeed(project, "oppman.py", "migrate", "upgrade")
        site = Site(project, environ)
        site.port = int(port)
        with site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
            page = browser.new_context(base_url=site.url).new_page()
            messages: list[str] = []
            page.on("console", lambda message: messages.append(message.text))
            page.goto("/login?next=/account/providers")
            hold_still(page)
            assert complaints(page) == []
            page.get_by_role("button", name="Sign in with Jo's").press("Enter")
            page.wait_for_url("**/account/providers")
            expect(page.get_by_text(f"{PERSON['email']}, last used")).to_be_visible()
            hold_still(page)
            assert complaints(page) == []
            page.get_by_role("button", name="Unlink").click()
            expect(page.get_by_text("This is the last way to sign in")).to_be_visible()
            assert [text for text in messages if "409" not in text] == []
            browser.close()
        assert provider.registered == set()
        assert provider.authorized[0]["redirect_uri"] == f"{environ['SITE_URL']}/login/with/oidc/callback"
