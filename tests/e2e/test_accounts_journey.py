"""A member's whole way: sign up by mail, sign in by passkey, reset the password, and see the other browser signed out.

On SQLite, on PostgreSQL through a pooler that shares by transaction, and in the emulator, whose instances freeze and
die between every two steps.
"""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page, Response, async_playwright, expect

from leapcell_emulator.emulator import Emulator
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.loopback import free_port
from leapcell_emulator.parts import make_services
from leapcell_emulator.rules import Rules
from leapcell_emulator.services.postgres import Postgres
from tests.gate import only_full
from tests.services.browser import ARGUMENTS
from tests.services.mail_server import MailServer, mail_server
from tests.services.site import ROOT, SECRET_KEY, Site, copy_project, succeed

MEMBER = "mary@example.com"
FIRST, SECOND = "a first quiet harbour", "another louder mountain"
OPS_TOKEN = "t0ken-of-this-journey-0123456789-abcdefghijklmnop"
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}
MAILS = {
    "Confirm your address for FastOpp",
    "A change to your account at FastOpp",
    "Set a new password for FastOpp",
    "Your password for FastOpp was changed",
}
PATIENCE = 90  # seconds for any one step, on a busy machine

pytestmark = pytest.mark.timeout(900)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.02)


@dataclass
class Place:
    """Where the project runs."""

    url: str
    log: Callable[[], str]
    between: Callable[[], Awaitable[None]]
    """What happens to it between two steps."""


PlaceOf = Callable[[Path, dict[str, str], int], AbstractAsyncContextManager[Place]]
"""Run the project with these variables on this port."""


async def nothing_happens() -> None:
    """As on a server that keeps running."""


@asynccontextmanager
async def served(project: Path, environ: dict[str, str], port: int) -> AsyncIterator[Place]:
    """A server process, which sends the mails itself."""
    await asyncio.to_thread(succeed, project, "oppman.py", "migrate", "upgrade", environ=environ)
    site = Site(project, environ)
    site.port = port
    await asyncio.to_thread(site.start)
    try:
        yield Place(environ["SITE_URL"], lambda: site.log, nothing_happens)
    finally:
        site.kill()


@asynccontextmanager
async def on_sqlite(project: Path, environ: dict[str, str], port: int) -> AsyncIterator[Place]:
    async with served(project, environ, port) as place:
        yield place


@asynccontextmanager
async def on_postgres(project: Path, environ: dict[str, str], port: int) -> AsyncIterator[Place]:
    """In production, behind the pooler that ships with the emulator."""
    production = {"ENVIRONMENT": "production", "SECRET_KEY": SECRET_KEY}
    async with Postgres() as database, served(project, environ | production | database.environment(), port) as place:
        yield place
        status = database.status()
        assert (status["pooler"], status["notices"]) == ("transaction", [])


@asynccontextmanager
async def in_emulator(project: Path, environ: dict[str, str], port: int) -> AsyncIterator[Place]:
    """On LeapCell, as far as this machine can be it."""
    shutil.copy(ROOT / "leapcell.yaml", project)
    platform = {"FASTOPP_PLATFORM": "leapcell", "SECRET_KEY": SECRET_KEY, "OPS_TOKEN": OPS_TOKEN}
    lines: list[str] = []
    options = EmulatorOptions(
        folder=project,
        port=port,
        async_port=0,
        build=False,
        variables=environ | platform,
        rules=Rules.from_options(options={"cold_start": 0.0}),
    )
    emulator = Emulator(
        options,
        services=make_services(database=True, object_storage=True, cron=None),
        on_line=lambda name, line: lines.append(f"{name} | {line}"),
    )
    died: list[str] = []

    def at_rest() -> bool:
        queue = emulator.state()["services"]["async_queue"]
        return not (emulator.fleet.in_hand or queue["waiting"] or queue["running"])

    async def freeze_and_die() -> None:
        """Both instances stop; then one is killed, or both in turn, and with it all that a process remembers."""
        await until(at_rest)
        instances = [instance.name for instance in emulator.fleet.running()]
        for name in instances:
            await emulator.act("freeze", name)
        for name in instances if len(died) % 3 == 0 else instances[:1]:
            await emulator.act("kill", name)
            died.append(name)

    async with emulator:
        headers = {"Authorization": f"Bearer {OPS_TOKEN}"}
        async with httpx.AsyncClient(base_url=emulator.url, headers=headers, timeout=PATIENCE) as operator:
            answer = await operator.post("/async/migrate")
            assert answer.status_code == 200, answer.text
        yield Place(environ["SITE_URL"], lambda: "\n".join(lines), freeze_and_die)
        assert len(died) > 15
        assert [event.message for event in emulator.journal.events if event.level == "error"] == []


@dataclass
class Journey:
    """A member with two browsers and a mailbox."""

    place: Place
    mailbox: MailServer
    first: Page
    """Has an authenticator for passkeys."""
    second: Page
    links: list[str] = field(default_factory=list)
    """Of the mails, in order."""

    async def mail(self, subject: str) -> EmailMessage:
        """The mail with this subject, as soon as the mail server has it."""

        def arrived() -> list[EmailMessage]:
            return [mail for mail in self.mailbox.taken if subject in str(mail["Subject"])]

        await until(arrived)
        mail = arrived()[0]
        assert mail["To"] == MEMBER
        return mail

    async def link_of(self, subject: str) -> str:
        """The link in a mail, after a mail scanner has opened it twice."""
        body = (await self.mail(subject)).get_body(("plain",))
        assert body
        [link] = [line for line in body.get_content().splitlines() if line.startswith(self.place.url)]
        async with httpx.AsyncClient(timeout=PATIENCE) as scanner:
            answers = [(await scanner.get(link)).status_code for _ in range(2)]
        assert answers == [200, 200]
        return link


async def sign_in(page: Page, password: str) -> None:
    """Type it into the page of /login, which is shown already."""
    await page.get_by_label("Email").fill(MEMBER)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in", exact=True).click()


async def is_refused(page: Page) -> None:
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.wait_for_url("**/login")


async def sign_out(page: Page) -> None:
    """By the menu of the header."""
    await page.locator("header summary").filter(has_text=MEMBER).click()
    await page.get_by_role("button", name="Sign out").locator("visible=true").click()
    await page.wait_for_load_state()
    await page.goto("/login")  # says so, if somebody is signed in
    await expect(page.get_by_text("You are signed in as")).to_have_count(0)


# The steps, in order.


async def sign_up(journey: Journey) -> None:
    page = journey.first
    await page.goto("/login")
    await page.get_by_role("link", name="Create an account").click()
    await page.get_by_label("Name").fill("Mary")
    await page.get_by_label("Email").fill(MEMBER)
    await page.get_by_label("Password").fill(FIRST)
    await page.get_by_role("button", name="Create account").click()
    await expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()


async def mail_is_scanned(journey: Journey) -> None:
    journey.links.append(await journey.link_of("Confirm your address"))


async def nothing_is_confirmed_yet(journey: Journey) -> None:
    await journey.second.goto("/login")
    await sign_in(journey.second, FIRST)
    await is_refused(journey.second)


async def open_the_link(journey: Journey) -> None:
    await journey.first.goto(journey.links[0])
    await expect(journey.first.get_by_text(MEMBER).first).to_be_visible()


async def confirm(journey: Journey) -> None:
    """Signs in, and leads to the site."""
    page = journey.first
    await page.get_by_role("button", name="Confirm").click()
    await page.wait_for_url(f"{journey.place.url}/")
    await expect(page.locator("header summary").filter(has_text=MEMBER)).to_be_visible()


async def admin_is_closed(journey: Journey) -> None:
    for path in ("/admin/", "/oppman/"):
        answer: Response | None = await journey.first.goto(path)
        assert answer
        assert answer.status == 403, path
        await expect(journey.first.get_by_label("Password")).to_have_count(0)


async def the_link_is_used_up(journey: Journey) -> None:
    answer = await journey.second.goto(journey.links[0])
    assert answer
    assert 400 <= answer.status < 500


async def ask_for_a_passkey(journey: Journey) -> None:
    page = journey.first
    await page.goto("/account")
    await page.get_by_role("link", name="Passkeys").click()
    await page.get_by_role("link", name="Add a passkey").click()
    await page.get_by_label("Name").fill("my laptop")


async def make_the_passkey(journey: Journey) -> None:
    await journey.first.get_by_role("button", name="Continue").click()
    await expect(journey.first.get_by_text("my laptop")).to_be_visible()


async def first_signs_out(journey: Journey) -> None:
    await sign_out(journey.first)


async def first_signs_in_by_passkey(journey: Journey) -> None:
    await journey.first.get_by_role("button", name="Sign in with a passkey").click()
    await journey.first.wait_for_url(f"{journey.place.url}/")
    await expect(journey.first.locator("header summary").filter(has_text=MEMBER)).to_be_visible()


async def second_signs_in_by_password(journey: Journey) -> None:
    await journey.second.goto("/login?next=/account")
    await sign_in(journey.second, FIRST)
    await journey.second.wait_for_url("**/account")
    await expect(journey.second.get_by_role("heading", name="Your account")).to_be_visible()


async def forget_the_password(journey: Journey) -> None:
    page = journey.first
    await page.get_by_role("link", name="Forgot your password?").click()
    await page.get_by_label("Email").fill(MEMBER)
    await page.get_by_role("button", name="Send the link").click()
    await expect(page.get_by_role("heading", name="Check your mail")).to_be_visible()


async def second_mail_is_scanned(journey: Journey) -> None:
    journey.links.append(await journey.link_of("Set a new password"))


async def second_is_still_in(journey: Journey) -> None:
    await journey.second.get_by_role("link", name="API tokens").click()
    await journey.second.wait_for_url("**/account/tokens")


async def open_the_second_link(journey: Journey) -> None:
    await journey.first.goto(journey.links[1])
    await journey.first.get_by_label("New password").fill(SECOND)


async def set_the_password(journey: Journey) -> None:
    await journey.first.get_by_role("button", name="Set the password").click()
    await expect(journey.first.get_by_role("heading", name="The password is set")).to_be_visible()


async def second_is_out(journey: Journey) -> None:
    """At its next click."""
    await journey.second.get_by_role("link", name="Sessions").click()
    await journey.second.wait_for_url(re.compile(r"/login\?next=/account/sessions$"))
    await expect(journey.second.get_by_role("heading", name="Sign in")).to_be_visible()


async def the_owner_is_notified(journey: Journey) -> None:
    await journey.mail("was changed")


async def the_old_password_is_refused(journey: Journey) -> None:
    await sign_in(journey.second, FIRST)
    await is_refused(journey.second)


async def the_new_password_signs_in(journey: Journey) -> None:
    await sign_in(journey.second, SECOND)
    await journey.second.wait_for_url("**/account/sessions")


async def the_passkey_still_signs_in(journey: Journey) -> None:
    await journey.first.get_by_role("link", name="Sign in").last.click()
    await first_signs_in_by_passkey(journey)


STEPS = (
    sign_up,
    mail_is_scanned,
    nothing_is_confirmed_yet,
    open_the_link,
    confirm,
    admin_is_closed,
    the_link_is_used_up,
    ask_for_a_passkey,
    make_the_passkey,
    first_signs_out,
    first_signs_in_by_passkey,
    second_signs_in_by_password,
    first_signs_out,
    forget_the_password,
    second_mail_is_scanned,
    second_is_still_in,
    open_the_second_link,
    set_the_password,
    second_is_out,
    the_owner_is_notified,
    the_old_password_is_refused,
    the_new_password_signs_in,
    the_passkey_still_signs_in,
)


@pytest.mark.parametrize("place_of", [on_sqlite, *only_full(on_postgres, in_emulator)])
async def test_the_whole_way(place_of: PlaceOf, chromium_path: str, tmp_path: Path) -> None:
    project, port = copy_project(tmp_path / "project"), free_port()
    async with AsyncExitStack() as exit_stack:
        mailbox = await exit_stack.enter_async_context(mail_server())
        environ = {
            "SIGN_UP": "open",
            "PASSKEYS": "true",
            "SITE_URL": f"http://localhost:{port}",
            "MAIL_URL": mailbox.url(),
            "MAIL_FROM": "shop@example.com",
        }
        place = await exit_stack.enter_async_context(place_of(project, environ, port))
        playwright = await exit_stack.enter_async_context(async_playwright())
        browser = await exit_stack.enter_async_context(
            await playwright.chromium.launch(executable_path=chromium_path, args=ARGUMENTS)
        )
        complaints: list[str] = []
        first, second = [await open_page(browser, place, complaints) for _ in range(2)]
        devtools = await first.context.new_cdp_session(first)
        await devtools.send("WebAuthn.enable")
        await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
        journey = Journey(place, mailbox, first, second)
        for step in STEPS:
            try:
                await step(journey)
                await place.between()
            except Exception as error:
                error.add_note(f"In the step {step.__name__}, with {first.url} and {second.url}.\n{place.log()}")
                raise
        assert [text for text in complaints if not re.search(r"status of 4\d\d", text)] == []
        assert [link for link in journey.links if link.partition("token=")[2] in place.log()] == []
        assert len({mail["Message-ID"] for mail in mailbox.taken}) == len(MAILS)
        assert {str(mail["Subject"]) for mail in mailbox.taken} == MAILS


async def open_page(browser: Browser, place: Place, complaints: list[str]) -> Page:
    """A browser of its own."""
    page = await (await browser.new_context(base_url=place.url)).new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page
