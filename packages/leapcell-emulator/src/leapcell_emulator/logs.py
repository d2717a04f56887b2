"""The output of an instance: read as fast as it comes, kept in part, and searched for LeapCell's own complaints."""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from leapcell_emulator.rules import Rules

KEPT_LINES: Final = 300
LONGEST_LINE: Final = 8192  # bytes; the rest of a longer one is left out
LINES_PER_SECOND: Final = 200  # passed on; a flood is counted and not shown

# Texts by which a rule shows itself in an application's log: (pattern, name of the rule).
_COMPLAINTS: Final = (
    (re.compile(r"(SemLock|/dev/shm|shm_open|shared_memory)"), "shared_memory"),
    (re.compile(r"(Read-only file system|EROFS|read-only file system)"), "read_only"),
    (re.compile(r"Permission denied: ['\"](?P<path>/[^'\"]+)"), "read_only"),
    (re.compile(r"No space left on device|ENOSPC|database or disk is full"), "tmp_size"),
)
# Landlock refuses with EACCES: Python's message, Node.js's, and Go's and the shell's.
_LANDLOCK: Final = re.compile(
    r"Permission denied: ['\"](?P<path>[^'\"]+)|EACCES: permission denied, \w+ '(?P<node>[^']+)"
    r"|(?P<other>[\w./@+-]+): [Pp]ermission denied"
)
# Most lines complain of nothing: one look finds that.
_SUSPECT: Final = re.compile(
    r"SemLock|/dev/shm|shm_open|shared_memory|read-only|erofs|permission denied|database|no space left|enospc",
    re.IGNORECASE,
)
_ERROR_PATH: Final = re.compile(r"['\"](/?[\w./@+-]+)['\"]\s*$")


def complaint(line: str, *, landlock: bool = False) -> tuple[str, str] | None:
    """The rule that a log line complains of, and what it says was touched."""
    if _SUSPECT.search(line) is None:
        return None
    if "database" in line and "readonly" in line:
        return "read_only", "SQLite's database"
    if "unable to open database file" in line:
        return "read_only", "A file of SQLite"
    if landlock and (match := _LANDLOCK.search(line)):
        return "read_only", next(filter(None, match.groups()))
    for pattern, name in _COMPLAINTS:
        if match := pattern.search(line):
            path = match.groupdict().get("path") or (_ERROR_PATH.search(line) or [None, "The file system"])[1]
            return name, path or ""
    return None


def is_enforced(rules: Rules, name: str) -> bool:
    """Return whether a rule that a line complains of is in force."""
    if name == "tmp_size":
        return rules.tmp_size > 0
    return rules.read_only if name == "read_only" else not rules.shared_memory


class LogReader:
    """Reads a pipe to its end, so that who writes never waits, and passes its lines on."""

    def __init__(self, stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.dropped = 0
        """Lines that were not passed on because there were too many."""
        self._stream = stream
        self._on_line = on_line
        self._second = 0.0
        self._count = 0
        self._held = 0

    async def read(self) -> None:
        """Read until the last process that could write has ended."""
        rest = b""
        skipping = False
        while chunk := await self._stream.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if not skipping:
                    self._take(line)
                skipping = False
            if skipping:
                rest = b""
            elif len(rest) > LONGEST_LINE:
                self._take(rest)
                rest, skipping = b"", True
        if rest:
            self._take(rest)
        self._report_held()

    def _take(self, raw: bytes) -> None:
        text = raw[:LONGEST_LINE].decode(errors="replace").rstrip("\r")
        if len(raw) > LONGEST_LINE:
            text += f" … ({len(raw) - LONGEST_LINE} bytes more)"
        self.lines.append(text)
        if time.monotonic() - self._second >= 1:
            self._second, self._count = time.monotonic(), 0
        self._count += 1
        if self._count <= LINES_PER_SECOND:
            self._on_line(text)
            return
        if not self._held:
            asyncio.get_running_loop().call_later(1, self._report_held)
        self._held += 1

    def _report_held(self) -> None:
        if self._held:
            self.dropped += self._held
            self._on_line(f"… {self._held} lines more, too many to show")
            self._held = 0
