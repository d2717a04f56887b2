"""`MAIL_URL`, parsed: the server that mails are handed to, or the log or folder that takes its place."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final, Literal, NamedTuple, get_args
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from fastopp.errors import FastOppError

Kind = Literal["smtp", "smtps", "console", "file"]
StartTLS = Literal["offered", "require", "never"]

SUBMISSION: Final = 587  # RFC 6409
SUBMISSIONS: Final = 465  # RFC 8314: TLS from the first byte

# An address, alone or after a name; nothing in it could begin another header.
_ADDRESS: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}"
_SENDER: Final = re.compile(rf"(?P<name>[^<>\x00-\x1f\x7f]*)<(?P<named>{_ADDRESS})>|(?P<bare>{_ADDRESS})")
_HOST: Final = re.compile(r"[A-Za-z0-9_:.-]{1,253}")


class Sender(NamedTuple):
    """MAIL_FROM, taken apart. The name may be empty."""

    name: str
    address: str


def parse_sender(text: str) -> Sender | None:
    """Return the name and the address of `My shop <shop@example.com>`, or None if it is neither that nor an address."""
    found = _SENDER.fullmatch(text)
    if found is None:
        return None
    return Sender((found["name"] or "").strip().strip('"'), found["named"] or found["bare"])


class MailURLError(FastOppError):
    """MAIL_URL is invalid."""

    hint = (
        "Use smtp://USER:PASSWORD@HOST:587, smtps://USER:PASSWORD@HOST:465, console: or file:FOLDER, with special "
        "characters of user and password percent-encoded."
    )


@dataclass(frozen=True, slots=True)
class MailURL:
    """The destination of mails. The password is not shown."""

    kind: Kind
    host: str = ""
    port: int = 0
    username: str = ""
    password: str = field(default="", repr=False)
    starttls: StartTLS = "offered"
    """For `smtp`: encrypt where the server offers it, always, or never."""
    folder: str = ""
    """For `file`."""

    @classmethod
    def parse(cls, text: str) -> MailURL:
        """Parse the value of MAIL_URL. Raises MailURLError, which does not show it."""
        try:
            parts = urlsplit(text)
        except ValueError:
            raise MailURLError from None
        if parts.scheme == "console":
            return cls("console")
        if parts.scheme == "file":
            if not (folder := unquote(parts.path)) or parts.netloc:
                raise MailURLError("MAIL_URL names no folder.", hint="Use file:FOLDER, like file:mails.")
            return cls("file", folder=folder)
        if parts.scheme == "smtp":
            return _server("smtp", parts)
        if parts.scheme == "smtps":
            return _server("smtps", parts)
        raise MailURLError("MAIL_URL has an unknown scheme.")

    @property
    def leaves_the_machine(self) -> bool:
        """Whether mails are handed to a server."""
        return self.kind in ("smtp", "smtps")

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine."""
        return _is_loopback(self.host)


def _server(kind: Literal["smtp", "smtps"], parts: SplitResult) -> MailURL:
    try:
        port = parts.port or (SUBMISSION if kind == "smtp" else SUBMISSIONS)
    except ValueError:
        raise MailURLError("MAIL_URL has an invalid port.") from None
    host = parts.hostname or ""
    if not _HOST.fullmatch(host) or parts.path.strip("/") or parts.fragment:
        raise MailURLError("MAIL_URL has no valid host name.")
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if bool(username) != bool(password):
        raise MailURLError("MAIL_URL needs both a user and a password, or neither.")
    # A password must not be sent in clear text because the offer of TLS was removed on the way.
    starttls: StartTLS = "require" if password and not _is_loopback(host) else "offered"
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name != "starttls" or kind != "smtp":
            raise MailURLError("MAIL_URL has an unknown parameter.", hint="smtp:// has one: starttls.")
        found = next((each for each in get_args(StartTLS) if each == value), None)
        if found is None:
            raise MailURLError("MAIL_URL has an invalid value of starttls.", hint="Use require, never or offered.")
        starttls = found
    return MailURL(kind, host, port, username, password, starttls)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
