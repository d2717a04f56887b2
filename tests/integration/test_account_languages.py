"""The pages of accounts in another language: no message is forgotten, and no word is fixed in a template."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from gettext import NullTranslations
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fastopp.features.mail.models import MailMessage
from fastopp.testing import ManualClock
from fastopp.web import languages
from tests.services.databases import url_on
from tests.services.ops_project import BROWSER, PRODUCTION, Project, initialised, running, use_form_token

STAFF = ("staff@example.com", "test123")
LANGUAGES = {"LANGUAGES": "en, de"}
MAIL = {"MAIL_URL": "file:mails", "MAIL_FROM": "shop@example.com", "SITE_URL": "https://shop.example.com"}
GERMAN = BROWSER | {"Accept-Language": "de-AT,de;q=0.9"}
PAGES = (
    "/account",
    "/account?done=profile",
    "/account/confirm",
    "/account/address",
    "/account/password",
    "/account/sessions",
    "/account/tokens",
    "/account/delete",
    "/protected",
    "/login",
    "/no-such-page",
)

# What is data, in no language: names, addresses, times, programs, codes.
DATA = re.compile(
    r"[\w.+-]+@[\w.-]+|python-httpx(?:/[\d.]+)?|FastOpp|Local|English|Deutsch|203\.0\.113\.9|UTC|[\w-]+/[\w/-]+|[0-9a-f-]{36}"
    r"|\d+\. ?\w*\.? ?\d{4}|\d{2}\.\d{2}\.\d{4}|Ada|robot|support"
)
SHOWN = ("aria-label", "title", "placeholder", "alt")

url = url_on("sqlite", fill=initialised)


class Texts(HTMLParser):
    """Every text that people read on a page, or hear."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("script", "style", "code")
        self.found += [value for name, value in attrs if name in SHOWN and value]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "code")

    def handle_data(self, data: str) -> None:
        if not self._silent and data.strip():
            self.found.append(" ".join(data.split()))


class Marked(NullTranslations):
    """A language in which every message is in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, singular: str, plural: str, number: int) -> str:
        return self.gettext(singular if number == 1 else plural)


def fixed_words(page: str) -> list[str]:
    """Return the texts with letters that are in no brackets."""
    texts = Texts()
    texts.feed(re.sub("</?code>", "", page))  # within messages; other code has a class, and is data
    found = []
    for text in texts.found:
        left = text
        while "⟦" in left:
            shorter = re.sub(r"⟦[^⟦⟧]*⟧", "", left)
            if shorter == left:
                break
            left = shorter
        if re.search(r"[^\W\d_]{2,}", DATA.sub("", left)):
            found.append(text)
    return found


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "_catalogue", lambda language, folders: Marked())


@pytest.fixture
async def project(url: str, tmp_path: Path) -> AsyncIterator[Project]:
    clock = ManualClock(datetime(2026, 7, 1, 22, 30, tzinfo=UTC))
    async with running(url, tmp_path, PRODUCTION | LANGUAGES | MAIL, clock=clock) as each:
        yield each


def test_fixed_words_are_found() -> None:
    assert fixed_words("<p>⟦Hello ⟦Ada⟧⟧ you</p><p title='Title'>⟦a⟧ ada@example.com</p>") == [
        "⟦Hello ⟦Ada⟧⟧ you",
        "Title",
    ]


async def test_no_word_is_fixed(project: Project, marked: None) -> None:
    async with project.signed_in(*STAFF) as browser:
        browser.headers.update(GERMAN)
        await browser.post("/account/tokens", json={"name": "robot", "scopes": ["read"]}, headers={"Accept": "*/*"})
        for path in PAGES:
            assert fixed_words((await browser.get(path)).text) == [], path
        forms: tuple[tuple[str, dict[str, Any]], ...] = (
            ("/account", {"time_zone": "Mars/Base", "language": "fr"}),
            ("/account/password", {"password": "short", "again": "short"}),
            ("/account/password", {"password": "aaaaaaaaaa", "again": "aaaaaaaaaa"}),
            ("/account/password", {"password": STAFF[0] * 60, "again": "other"}),
            ("/account/address", {"email": "no address"}),
            ("/account/tokens/new", {"name": "robot", "scopes": ["operations"]}),
            ("/account/tokens/new", {"expires_in_days": "x"}),
            ("/account/delete", {"password": "wrong"}),
            ("/account/address/confirm/none", {}),
            ("/account/tokens/new", {"name": "robot", "scopes": ["read"]}),
        )
        for path, form in forms:
            answer = await browser.post(path, data=form)
            assert answer.status_code >= 400 or answer.status_code == 201
            assert [text for text in fixed_words(answer.text) if "fastopp_" not in text] == [], (path, form)
        del browser.headers["X-CSRF-Token"]
        assert fixed_words((await browser.post("/account")).text) == []
    async with project.client(headers=GERMAN) as visitor:
        await use_form_token(visitor, "/login")
        for number in range(7):
            answer = await visitor.post(
                "/login", data={"username": "no@example.com", "password": "x" if number else ""}
            )
            assert fixed_words(answer.text) == [], number
        assert answer.status_code == 429


async def test_mails_have_no_fixed_word(project: Project, marked: None) -> None:
    async with project.signed_in(*STAFF) as browser:
        browser.headers.update(GERMAN)
        await browser.post("/account", data={"language": "de"})
        for email in ("new@example.com", "john@example.com"):
            await browser.post("/account/address", data={"email": email})
        await browser.post("/account/address", data={"email": "new@example.com"})
        link = re.search(r"shop\.example\.com(/account/\S+)", (await project.all(MailMessage))[-1].text)
        assert link
        assert fixed_words((await browser.get(link[1])).text) == []
        await browser.post(link[1])
        undo = re.search(r"shop\.example\.com(/account/\S+)", (await project.all(MailMessage))[-1].text)
        assert undo
        assert fixed_words((await browser.get(undo[1])).text) == []
        form = {"password": "seventeen green teapots", "again": "seventeen green teapots"}
        await browser.post("/account/password", data=form)
        await use_form_token(browser, "/account")
        answer = await browser.post("/account/delete", data=form)
        assert fixed_words(answer.text) == []
    mails = await project.all(MailMessage)
    assert {mail.template.rpartition("/")[2] for mail in mails} == {
        "confirm_address", "address_taken", "address_changed", "password_changed", "deleted"
    }  # fmt: skip
    for mail in mails:
        for part in (mail.subject, re.sub(r"https://\S+", "", mail.text)):
            assert fixed_words(f"<p>{part}</p>") == [], mail.template


async def test_a_german_reader_with_a_time_zone(project: Project) -> None:
    async with project.signed_in(*STAFF) as browser:
        browser.headers.update(GERMAN)
        page = (await browser.get("/account")).text
        assert '<html lang="de">' in page
        assert "E-Mail-Adresse ändern" in page
        assert "01.07.2026, 22:30" in page
        await browser.post("/account", data={"time_zone": "Europe/Berlin", "language": "de"})
        page = (await browser.get("/account", headers={"Accept-Language": "en"})).text
        assert "Passwort ändern" in page
        assert "02.07.2026, 00:30" in page
        answer = await browser.post("/account/password", data={"password": "short", "again": "short"})
        assert "Das Passwort ist zu kurz: Es braucht mindestens 8 Zeichen." in answer.text
    async with project.client(headers=GERMAN) as visitor:
        answer = await visitor.post("/login", data={"username": STAFF[0], "password": "wrong"})
        assert "Die E-Mail-Adresse oder das Passwort ist falsch." in answer.text
        assert "Seite nicht gefunden" in (await visitor.get("/no-such-page")).text
