"""MAIL_URL, MAIL_FROM, SITE_URL and LANGUAGES: what is understood, what is refused, and that no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.settings import Settings, SettingsError, load_settings
from fastopp.settings.mail_url import MailURL, MailURLError

CANARY = "c4nary-p4ssword"


def settings_with(**variables: str) -> Settings:
    return load_settings(variables, env_file=Path("/nonexistent"))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("console:", MailURL("console")),
        ("file:mails", MailURL("file", folder="mails")),
        ("file:/var/mail%20out", MailURL("file", folder="/var/mail out")),
        ("file:///var/mails", MailURL("file", folder="/var/mails")),
        ("smtp://localhost", MailURL("smtp", "localhost", 587)),
        ("smtp://mail.example.com:25/", MailURL("smtp", "mail.example.com", 25)),
        ("smtp://a:b@mail.example.com", MailURL("smtp", "mail.example.com", 587, "a", "b", "require")),
        ("smtp://a:b@127.0.0.1", MailURL("smtp", "127.0.0.1", 587, "a", "b", "offered")),
        ("smtp://a:b@[::1]:2525", MailURL("smtp", "::1", 2525, "a", "b", "offered")),
        ("smtp://h?starttls=require", MailURL("smtp", "h", 587, starttls="require")),
        ("smtp://a:b@h?starttls=never", MailURL("smtp", "h", 587, "a", "b", "never")),
        ("smtps://a%40b:p%3A%2F%40@h", MailURL("smtps", "h", 465, "a@b", "p:/@", "require")),
    ],
)
def test_what_is_understood(text, parsed):
    assert MailURL.parse(text) == parsed


@pytest.mark.parametrize(
    "text",
    [
        "mail.example.com",
        "http://mail.example.com",
        f"smtp://user:{CANARY}@",
        f"smtp://user:{CANARY}@host:port",
        f"smtp://user:{CANARY}@host:70000",
        f"smtp://user:{CANARY}@host/path",
        f"smtp://user:{CANARY}@host?starttls=maybe",
        f"smtp://user:{CANARY}@host?password=x",
        f"smtps://user:{CANARY}@host?starttls=never",
        f"smtp://user:{CANARY}@ho st",
        f"smtp://user:{CANARY}@[host",
        f"smtp://:{CANARY}@host",
        "smtp://user@host",
        "file:",
        "file://host/folder",
    ],
)
def test_what_is_refused_without_showing_it(text):
    with pytest.raises(MailURLError) as caught:
        MailURL.parse(text)
    assert CANARY not in str(caught.value)
    with pytest.raises(SettingsError) as reported:
        settings_with(MAIL_URL=text, MAIL_FROM="a@example.com")
    assert "MAIL_URL" in str(reported.value)
    assert CANARY not in str(reported.value)


def test_the_password_is_shown_nowhere():
    settings = settings_with(MAIL_URL=f"smtp://user:{CANARY}%2F@host", MAIL_FROM="a@example.com")
    assert settings.mail is not None
    assert settings.mail.password == f"{CANARY}/"
    for shown in (repr(settings), str(settings), repr(settings.mail), str(settings.model_dump())):
        assert CANARY not in shown
    assert {f"{CANARY}/", f"{CANARY}%2F"} <= set(settings.secrets())


@pytest.mark.parametrize("sender", ["shop@example.com", "My shop <shop@example.com>", "Läden, alle <a@b.example>"])
def test_senders(sender):
    assert settings_with(MAIL_URL="smtp://h", MAIL_FROM=sender).mail_from == sender


@pytest.mark.parametrize(
    "sender", ["shop", "Shop <shop>", "a@b <c@d", "a@b\nBcc: c@d", "Shop\r\nBcc: x <a@b.example>", "<>"]
)
def test_what_is_no_sender(sender):
    with pytest.raises(SettingsError, match="MAIL_FROM"):
        settings_with(MAIL_URL="smtp://h", MAIL_FROM=sender)


def test_a_server_needs_a_sender():
    with pytest.raises(SettingsError, match="MAIL_FROM: Not set, although MAIL_URL is"):
        settings_with(MAIL_URL="smtp://h")


def test_defaults():
    settings = settings_with()
    assert settings.mail == MailURL("console")
    assert settings.site == "http://127.0.0.1:8000"
    assert settings.offered_languages == ("en",)
    production = settings_with(ENVIRONMENT="production", SECRET_KEY="6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00")
    assert production.mail is None
    assert production.site == ""


def test_the_address_of_the_site():
    assert settings_with(SITE_URL="https://shop.example.com/").site == "https://shop.example.com"
    for url in ("shop.example.com", "https://a@shop.example.com", "https://shop.example.com/?x=1", "javascript://x"):
        with pytest.raises(SettingsError, match="SITE_URL"):
            settings_with(SITE_URL=url)


def test_languages():
    assert settings_with(LANGUAGES="de, en,pt_BR, de").offered_languages == ("de", "en", "pt-BR")
    for names in ("../de", "german", "d", "de,E N"):
        with pytest.raises(SettingsError, match="LANGUAGES"):
            settings_with(LANGUAGES=names)
