"""A mail server on loopback, with AUTH and STARTTLS, and with the faults of real ones."""

from __future__ import annotations

import asyncio
import email
import ssl
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "shop@example.com", "pa:ss@w/ord"
IN_URL = "shop%40example.com:pa%3Ass%40w%2Ford"


@dataclass
class MailServer:
    """What it has taken, and how it answers: a text instead of 250, or None to hang up."""

    taken: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, str]] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    recipient_answers: dict[str, str] = field(default_factory=dict)
    data_answers: list[str | None] = field(default_factory=list)
    """For the next messages, after they were taken; then 250."""
    before_answer: Callable[[], Awaitable[object]] | None = None
    port: int = 0

    def url(self, credentials: str = "", query: str = "", *, scheme: str = "smtp") -> str:
        return f"{scheme}://{credentials and credentials + '@'}localhost:{self.port}{query}"

    async def handle_RCPT(  # noqa: N802 - its name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := self.recipient_answers.get(address):
            return refusal
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - as above
        if self.before_answer is not None:
            await self.before_answer()
        answer = self.data_answers.pop(0) if self.data_answers else "250 OK"
        if answer is None or answer.startswith("2"):
            assert envelope.content is not None
            self.taken.append(email.message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
            self.envelopes += [(envelope.mail_from or "", to) for to in envelope.rcpt_tos]
            self.encrypted.append(bool(server.transport and server.transport.get_extra_info("ssl_object")))
        if answer is None:
            assert server.transport is not None
            server.transport.abort()
            return "451 never seen"
        return answer


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and data == LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=right, handled=False, message=None if right else f"535 {data.password.decode()} is wrong")


@asynccontextmanager
async def mail_server(
    tls: ssl.SSLContext | None = None, *, auth: bool = False, wrapped: bool = False
) -> AsyncIterator[MailServer]:
    """Run one.

    tls: offer STARTTLS, or with `wrapped` speak TLS from the first byte.
    auth: demand USER's password.
    """
    running = MailServer()
    options: dict[str, Any] = {"hostname": "mail.test", "tls_context": None if wrapped else tls}
    if auth:
        asks_for_tls = tls is not None and not wrapped
        options |= {"authenticator": _authenticate, "auth_required": True, "auth_require_tls": asks_for_tls}

    def accept() -> SMTP:
        with warnings.catch_warnings(action="ignore"):  # that a password may come unencrypted, as it does to real ones
            return SMTP(running, **options)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(accept, "127.0.0.1", 0, ssl=tls if wrapped else None)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()


@asynccontextmanager
async def silent_server(first: bytes = b"") -> AsyncIterator[int]:
    """Run a server that takes connections, says `first` and nothing more; give its port."""

    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "localhost", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        over.set()
        await asyncio.sleep(0.01)
