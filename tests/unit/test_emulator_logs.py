"""What an instance prints, and what is read from it."""

from __future__ import annotations

import asyncio

import pytest

from leapcell_emulator.logs import KEPT_LINES, LINES_PER_SECOND, LONGEST_LINE, LogReader, complaint


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("OSError: [Errno 30] Read-only file system: 'uploads/a.jpg'", ("read_only", "uploads/a.jpg")),
        ("PermissionError: [Errno 13] Permission denied: '/app/data.db'", ("read_only", "/app/data.db")),
        ("touch: cannot touch '/x': Read-only file system", ("read_only", "The file system")),
        ("    sl = self._semlock = _multiprocessing.SemLock(", ("shared_memory", "The file system")),
        ("FileNotFoundError: '/dev/shm/x'", ("shared_memory", "/dev/shm/x")),
        ("sqlite3.OperationalError: attempt to write a readonly database", ("read_only", "SQLite's database")),
        ("sqlite3.OperationalError: unable to open database file", ("read_only", "A file of SQLite")),
        ("PermissionError: [Errno 13] Permission denied: 'notes.txt'", None),
        ("INFO: GET /healthy", None),
        ("OSError: [Errno 28] No space left on device: '/tmp/x'", ("tmp_size", "/tmp/x")),
        ("sqlite3.OperationalError: database or disk is full", ("tmp_size", "The file system")),
    ],
)
def test_complaints(line: str, found: tuple[str, str] | None) -> None:
    assert complaint(line) == found


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("PermissionError: [Errno 13] Permission denied: 'notes.txt'", "notes.txt"),
        ("Error: EACCES: permission denied, open '/x/notes.txt'", "/x/notes.txt"),
        ("open notes.txt: permission denied", "notes.txt"),
        ("bash: notes.txt: Permission denied", "notes.txt"),
    ],
)
def test_landlocks_refusals(line: str, path: str) -> None:
    assert complaint(line, landlock=True) == ("read_only", path)


async def test_lines_are_split_and_the_last_needs_no_end() -> None:
    assert await _read(b"one\r\ntwo\n", b"thr", b"ee") == ["one", "two", "three"]


async def test_bytes_that_are_no_text() -> None:
    assert await _read(b"\xff\x00\n") == ["\ufffd\x00"]


async def test_a_line_without_end_is_cut() -> None:
    lines = await _read(*[b"x" * 60_000] * 20, b"\nnext\n")
    assert lines[0].startswith("x" * LONGEST_LINE + " … (")
    assert lines[1:] == ["next"]


async def test_a_flood() -> None:
    seen: list[str] = []
    stream = asyncio.StreamReader()
    reader = LogReader(stream, seen.append)
    stream.feed_data(b"".join(b"%d\n" % number for number in range(10_000)))
    stream.feed_eof()
    await reader.read()
    assert len(seen) <= 2 * LINES_PER_SECOND + 2
    assert "lines more, too many to show" in seen[-1]
    assert len(reader.lines) == KEPT_LINES
    assert reader.lines[-1] == "9999"


async def _read(*chunks: bytes) -> list[str]:
    stream = asyncio.StreamReader()
    seen: list[str] = []
    reading = asyncio.create_task(LogReader(stream, seen.append).read())
    for chunk in chunks:
        stream.feed_data(chunk)
        await asyncio.sleep(0)
    stream.feed_eof()
    await reading
    return seen
