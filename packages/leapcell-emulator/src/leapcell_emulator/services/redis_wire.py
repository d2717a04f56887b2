"""The requests of Redis clients: commands as arrays of strings, or as lines of text.

See https://redis.io/docs/latest/develop/reference/protocol-spec/.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

LONGEST_LINE: Final = 64 * 1024  # bytes, as Redis has it
_LONGEST_NAME: Final = 40  # bytes; what is longer is no command's

_ARRAY: Final = re.compile(rb"\*-?\d{1,10}\r\n")
_STRING: Final = re.compile(rb"\$\d{1,10}\r\n")
_NAME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9._]*")


class Requests:
    """Passes on what a client sends, and makes the server not know some commands.

    A refused name gets a zero byte. The server then answers "unknown command" in the right place, also within a
    pipeline or a transaction, and shows the name up to that byte. Values are passed on as they come.

    Parameters
    ----------
    refused: called with the name of each command, in lower case; returns whether to refuse it.
    longest: bytes of a value that the server takes.
    """

    def __init__(self, refused: Callable[[str], bool], *, longest: int) -> None:
        self.broken = False
        """Whether there is no going on. What `feed` returned last makes the server say why, and end it."""
        self._refused = refused
        self._longest = longest
        self._buffer = b""
        self._at = 0  # what comes before was passed on
        self._skipped = 0  # bytes of a value, and of the end of its line, that are still to come
        self._strings = 0  # of the array, that are still to come
        self._at_name = False

    def feed(self, data: bytes) -> bytes:
        """Return the bytes to send to the server now."""
        self._buffer, self._at = self._buffer[self._at :] + data, 0
        pieces = []
        while not self.broken and (piece := self._next()):
            pieces.append(piece)
        if self.broken:
            pieces.append(self._take(len(self._buffer)))
        return b"".join(pieces)

    def _next(self) -> bytes:
        """The next piece that is whole; nothing when more must come first, or when it is broken."""
        if self._skipped:
            piece = self._take(self._skipped)
            self._skipped -= len(piece)
            return piece
        end = self._buffer.find(b"\n", self._at, self._at + LONGEST_LINE) + 1
        if not end:
            self.broken = len(self._buffer) - self._at >= LONGEST_LINE
            return b""
        line = self._buffer[self._at : end]
        if self._strings:
            return self._string(line)
        if line.startswith(b"*"):
            return self._array(line)
        return self._inline(line)

    def _array(self, line: bytes) -> bytes:
        if not _ARRAY.fullmatch(line):
            self.broken = True
            return b""
        self._strings = max(0, int(line[1:]))
        self._at_name = True
        return self._take(len(line))

    def _string(self, line: bytes) -> bytes:
        if not _STRING.fullmatch(line) or int(line[1:]) > self._longest:
            self.broken = True
            return b""
        size = int(line[1:])
        if self._at_name and size <= _LONGEST_NAME:
            whole = len(line) + size + 2
            if len(self._buffer) - self._at < whole:
                return b""
            piece = self._take(whole)
            name = piece[len(line) : -2]
            piece = _unknown(name) if self._is_refused(name) else piece
        else:
            piece = self._take(len(line))
            self._skipped = size + 2
        self._at_name = False
        self._strings -= 1
        return piece

    def _inline(self, line: bytes) -> bytes:
        name = next(iter(line.split()), b"").strip(b"\"'")
        self._take(len(line))
        return b"*1\r\n" + _unknown(name) if self._is_refused(name) else line

    def _is_refused(self, name: bytes) -> bool:
        return _NAME.fullmatch(name) is not None and self._refused(name.decode("ascii").lower())

    def _take(self, size: int) -> bytes:
        piece = self._buffer[self._at : self._at + size]
        self._at += len(piece)
        return piece


def _unknown(name: bytes) -> bytes:
    """The name as one that no server knows."""
    return b"$%d\r\n%s\0\r\n" % (len(name) + 1, name)
