"""PostgreSQL's messages, as far as one must understand them to pass them on (its manual, chapter 54)."""

from __future__ import annotations

import asyncio
import re
import struct

MAX_STARTUP = 10_000  # bytes; PostgreSQL's own MAX_STARTUP_PACKET_LENGTH
CHUNK = 256 * 1024  # bytes read at a time

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102

# First bytes of messages. The same letter means something else in the other direction.
QUERY, PARSE, SYNC, TERMINATE, FUNCTION_CALL = b"Q", b"P", b"S", b"X", b"F"
COPY_DATA, COPY_DONE, COPY_FAIL = b"d", b"c", b"f"
AUTHENTICATION, KEY_DATA, PARAMETER_STATUS, READY = b"R", b"K", b"S", b"Z"
COPY_IN, COPY_BOTH, NOTIFICATION, ERROR = b"G", b"W", b"A", b"E"

IDLE = b"I"  # the status in READY outside a transaction

# Statements that keep state on a server connection, for notices that it will be lost.
_SESSION_STATEMENTS = (
    (re.compile(r"\s*listen\b", re.IGNORECASE), "LISTEN was accepted, and nothing will ever be heard"),
    (
        re.compile(r"\s*set\s+(?!local\b|transaction\b|constraints\b)", re.IGNORECASE),
        "SET holds for the transaction's server connection, not for the client's: use SET LOCAL",
    ),
    (
        re.compile(r".*\bpg_(try_)?advisory_lock(_shared)?\s*\(", re.IGNORECASE | re.DOTALL),
        "A session's advisory lock stays with a server connection that others use next: use pg_advisory_xact_lock",
    ),
    (re.compile(r"\s*prepare\s+(?!transaction\b)", re.IGNORECASE), "PREPARE is gone in the next transaction"),
    (
        re.compile(r"\s*create\s+(global\s+|local\s+)?temp(orary)?\b", re.IGNORECASE),
        "A temporary table is gone in the next transaction",
    ),
    (
        re.compile(r"\s*declare\b.*\bwith\s+hold\b", re.IGNORECASE | re.DOTALL),
        "A cursor WITH HOLD is gone in the next transaction",
    ),
)
_STATEMENT_LOOKED_AT = 500  # characters


class Framer:
    """Cuts what arrives into whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are complete with this piece."""
        self._buffer += data
        messages: list[bytes] = []
        start = 0
        while len(self._buffer) >= start + 5:
            end = start + 1 + int.from_bytes(self._buffer[start + 1 : start + 5])
            if len(self._buffer) < end:
                break
            messages.append(bytes(self._buffer[start:end]))
            start = end
        del self._buffer[:start]
        return messages


async def read_message(reader: asyncio.StreamReader) -> bytes:
    """The next message. Raises IncompleteReadError at the end."""
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:]) - 4)


async def read_startup(reader: asyncio.StreamReader) -> bytes:
    """The first packet of a connection, which has no letter. Raises IncompleteReadError, also for nonsense."""
    head = await reader.readexactly(4)
    length = int.from_bytes(head)
    if not 8 <= length <= MAX_STARTUP:
        raise asyncio.IncompleteReadError(head, length)
    return head + await reader.readexactly(length - 4)


def startup_code(packet: bytes) -> int:
    """Return the request of a first packet: SSL_REQUEST and its like, or a protocol version."""
    return int.from_bytes(packet[4:8])


def startup_packet(parameters: dict[str, str]) -> bytes:
    """The first packet of a client, in protocol 3.0."""
    body = b"".join(_text(name) + _text(value) for name, value in parameters.items()) + b"\0"
    return struct.pack("!II", len(body) + 8, 3 << 16) + body


def startup_parameters(packet: bytes) -> dict[str, str]:
    """The parameters in a first packet."""
    texts = packet[8:].split(b"\0")
    return {
        name.decode(errors="replace"): value.decode(errors="replace")
        for name, value in zip(texts[::2], texts[1::2], strict=False)
        if name
    }


def message(kind: bytes, body: bytes) -> bytes:
    """One message."""
    return kind + (len(body) + 4).to_bytes(4) + body


def query(sql: str) -> bytes:
    """A simple query."""
    return message(QUERY, _text(sql))


def fatal(text: str, code: str = "08P01") -> bytes:
    """The error before a connection is closed, with an SQLSTATE."""
    fields = (b"S", "FATAL"), (b"V", "FATAL"), (b"C", code), (b"M", text)
    return message(ERROR, b"".join(letter + _text(value) for letter, value in fields) + b"\0")


def parameter(status: bytes) -> tuple[str, str]:
    """Name and value in a PARAMETER_STATUS."""
    name, value = status[5:].split(b"\0")[:2]
    return name.decode(), value.decode()


def session_state(sent: bytes) -> str | None:
    """Return the state that a client's message leaves on the server connection, as a sentence; None if nothing."""
    kind = sent[:1]
    if kind == PARSE:
        name, _, rest = sent[5:].partition(b"\0")
        if name:
            return "A named prepared statement is unknown to, or in the way of, the next transaction: turn them off"
    elif kind == QUERY:
        rest = sent[5:]
    else:
        return None
    sql = rest[:_STATEMENT_LOOKED_AT].split(b"\0")[0].decode(errors="replace")
    return next((told for pattern, told in _SESSION_STATEMENTS if pattern.match(sql)), None)


def _text(value: str) -> bytes:
    return value.encode() + b"\0"
