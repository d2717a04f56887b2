"""LeapCell's limits on a request and its answer (E6, E7, E8), as decisions: what is refused, and how it is said."""

from __future__ import annotations

from collections.abc import Iterable

from leapcell_emulator.documented import MIB
from leapcell_emulator.rule import MEGABYTE, format_size
from leapcell_emulator.rules import Rules

RawHeaders = Iterable[tuple[bytes, bytes]]


class Refused(Exception):
    """A rule forbids this request or its answer. `name` is the rule's, `found` what was met."""

    def __init__(self, status: int, name: str, found: str = "") -> None:
        self.status = status
        self.name = name
        self.found = found
        super().__init__(name)


def size_of(headers: RawHeaders) -> int:
    """Bytes of headers as they are sent: name, colon, space, value, line end."""
    return sum([len(name) + len(value) + 4 for name, value in headers])


def check_head(rules: Rules, method: str, target: str, headers: RawHeaders) -> None:
    """Refuse a request by what stands before its body. Raises `Refused`; the statuses are inferred."""
    line = len(method) + len(target.encode()) + len("  HTTP/1.1")
    if rules.max_request_line and line > rules.max_request_line:
        raise Refused(414, "max_request_line", format_size(line))
    total = 0
    for name, value in headers:
        size = len(name) + len(value) + 4
        total += size
        if rules.max_header and size > rules.max_header:
            raise Refused(431, "max_header", name.decode("latin-1"))
        lowered = name.lower()
        if lowered == b"content-length" and _exceeds(value, rules.max_request_body):
            raise Refused(413, "max_request_body", format_size(int(value)))
        if lowered == b"upgrade" and value.lower() == b"websocket" and not rules.websockets:
            raise Refused(501, "websockets")
    if rules.max_request_headers and total > rules.max_request_headers:
        raise Refused(431, "max_request_headers", format_size(total))


def check_answer(rules: Rules, method: str, headers: RawHeaders) -> None:
    """Refuse an answer by its head, while nothing of it is sent. Raises `Refused`; the statuses are inferred."""
    total = size_of(headers)
    if rules.max_response_headers and total > rules.max_response_headers:
        raise Refused(502, "max_response_headers", format_size(total))


def is_ambiguous(limit: int, size: int) -> bool:
    """Return whether a size is within a limit of so many MiB, but not of so many MB; LeapCell's documents say MB."""
    return limit > 0 and limit % MIB == 0 and limit // MIB * MEGABYTE < size <= limit


def _exceeds(value: bytes, limit: int) -> bool:
    return bool(limit) and value.isdigit() and len(value) < 20 and int(value) > limit
