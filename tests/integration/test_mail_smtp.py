"""Mails over a real SMTP server: sign-in, TLS, and what servers do wrong."""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from datetime import UTC, datetime

import pytest

from fastopp.features.mail.errors import MailDelayed, MailRefused
from fastopp.features.mail.message import make_message
from fastopp.features.mail.models import MailMessage
from fastopp.features.mail.smtp import SMTPLimits, hand_over, sign_in
from fastopp.settings.mail_url import MailURL, Sender
from tests.services.front import Certificates
from tests.services.mail_server import IN_URL, PASSWORD, mail_server, silent_server

SENDER, RECIPIENT = "shop@example.com", "jo@example.com"


def mail(**values) -> MailMessage:
    given = {
        "created_at": datetime(2026, 11, 30, tzinfo=UTC),
        "template": "mail/test",
        "recipient": RECIPIENT,
        "subject": "Ünïcode",
        "text": "Grüße\n" + "x" * 2000 + "\n.\n",
        "message_id": "<one@example.com>",
    }
    return MailMessage(**(given | values))


MESSAGE = make_message(mail(html="<p>Grüße"), Sender("Läden, alle", SENDER))


async def send(url: str, limits: SMTPLimits | None = None) -> None:
    await hand_over(MailURL.parse(url), SENDER, RECIPIENT, MESSAGE, limits or SMTPLimits(step=5, whole=10))


@pytest.fixture
def trusting(certificates: Certificates) -> SMTPLimits:
    return SMTPLimits(step=5, whole=10, tls=ssl.create_default_context(cafile=str(certificates.root)))


async def test_what_arrives():
    async with mail_server() as server:
        await send(server.url())
    [taken] = server.taken
    assert server.envelopes == [(SENDER, RECIPIENT)]
    assert taken["subject"] == "Ünïcode"
    assert taken["from"].addresses[0].display_name == "Läden, alle"
    assert taken["message-id"] == "<one@example.com>"
    assert taken["auto-submitted"] == "auto-generated"
    assert taken.get_body(("plain",)).get_content().splitlines() == ["Grüße", "x" * 2000, "."]
    assert taken.get_body(("html",)).get_content().strip() == "<p>Grüße"


async def test_it_signs_in_over_tls(certificates, trusting):
    async with mail_server(certificates.server_context(), auth=True) as server:
        await send(server.url(IN_URL, "?starttls=require"), trusting)
        await sign_in(MailURL.parse(server.url(IN_URL)), trusting)
    assert server.encrypted == [True]
    async with mail_server(certificates.server_context(), auth=True, wrapped=True) as server:
        await send(server.url(IN_URL, scheme="smtps"), trusting)
    assert server.encrypted == [True]


async def test_an_unknown_authority_is_not_trusted(certificates):
    for wrapped, scheme in ((False, "smtp"), (True, "smtps")):
        async with mail_server(certificates.server_context(), wrapped=wrapped) as server:
            with pytest.raises(MailDelayed, match="certificate"):
                await send(server.url(scheme=scheme))
        assert not server.taken


async def test_no_password_without_tls():
    async with mail_server(auth=True) as server:
        with pytest.raises(MailDelayed, match="STARTTLS"):
            await send(server.url(IN_URL, "?starttls=require"))
        await send(server.url(IN_URL))
    assert server.encrypted == [False]


async def test_a_wrong_password_is_no_reason_to_lose_mails(certificates, trusting):
    async with mail_server(certificates.server_context(), auth=True) as server:
        with pytest.raises(MailDelayed, match="535"):
            await send(server.url("shop:wrong"), trusting)


@pytest.mark.parametrize(("answer", "error"), [("550 No such user", MailRefused), ("450 Greylisted", MailDelayed)])
async def test_a_refused_recipient(answer, error):
    async with mail_server() as server:
        server.recipient_answers[RECIPIENT] = answer
        with pytest.raises(error, match=answer):
            await send(server.url())
    assert not server.taken


@pytest.mark.parametrize(
    ("answer", "error"), [("554 Spam", MailRefused), ("452 Full", MailDelayed), (None, MailDelayed)]
)
async def test_a_refused_message(answer, error):
    async with mail_server() as server:
        server.data_answers = [answer]
        with pytest.raises(error):
            await send(server.url())


async def test_nobody_listens():
    async with silent_server() as port:
        pass
    with pytest.raises(MailDelayed, match="cannot be used"):
        await send(f"smtp://localhost:{port}")


@pytest.mark.parametrize("first", [b"", b"220 hello\r\n", b"220-" + b"x" * 100_000])
async def test_a_server_that_hangs(first):
    async with silent_server(first) as port:
        started = time.monotonic()
        with pytest.raises(MailDelayed):
            await send(f"smtp://localhost:{port}", SMTPLimits(step=0.1, whole=5))
        assert time.monotonic() - started < 3


async def test_a_server_that_is_slow_at_every_step():
    async with mail_server() as server:
        server.before_answer = lambda: asyncio.sleep(0.5)
        with pytest.raises(MailDelayed, match="in time"):
            await send(server.url(), SMTPLimits(step=5, whole=0.1))


async def test_a_name_that_does_not_exist():
    for host in ("nowhere.invalid", "a" * 70, "a..b"):
        with pytest.raises(MailDelayed):
            await send(f"smtp://{host}")


async def test_a_lost_goodbye_is_no_failure(monkeypatch):
    from aiosmtpd.smtp import SMTP

    async def hang(self: SMTP, arg: str) -> None:
        await asyncio.sleep(30)

    async with mail_server() as server:
        monkeypatch.setattr(SMTP, "smtp_QUIT", hang)
        await send(server.url(), SMTPLimits(step=5, whole=10, goodbye=0.05))
    assert len(server.taken) == 1


async def test_the_password_is_not_logged(certificates, trusting, caplog):
    caplog.set_level(logging.DEBUG)
    async with mail_server(certificates.server_context(), auth=True) as server:
        await send(server.url(IN_URL), trusting)
    assert PASSWORD not in caplog.text
