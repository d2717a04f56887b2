"""Requests from files: access logs in combined format or JSON, the emulator's record, and HAR. All but HAR stream."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from leapcell_emulator.cost.request import Request
from leapcell_emulator.cost.share import share_of
from leapcell_emulator.errors import BadRequest

LARGEST_HAR: Final = 200_000_000  # bytes, since it is read at once
LONGEST_LINE: Final = 65_536  # bytes; a longer one is no line of a log
# Host, user, time, request line, status, bytes; then what combined adds, and nginx's $request_time at the end.
_COMBINED: Final = re.compile(
    r'\S+ \S+ \S+ \[([^\]]+)\] "(?:[A-Z]+ )?(\S*)[^"]*" (\d{3}) (\d+|-)(?: "(?:[^"\\]|\\.)*" "(?:[^"\\]|\\.)*")?'
    r"(?:.* (\d+\.\d+))?\s*$"
)
_UVICORN: Final = re.compile(r'\S+ - "[A-Z]+ (\S+) HTTP/[\d.]+" (\d{3})')


class LogRefused(BadRequest):
    """The file has no traffic that can be read."""


@dataclass(slots=True)
class Found:
    """The kind of a file, and the part of it that was not read."""

    kind: str = ""
    lines: int = 0
    skipped: int = 0
    """Lines that are no request."""
    starts: list[tuple[float, float, int, bool]] = field(default_factory=list)
    """Starts of instances in a record: seconds, processor seconds, MB, whether the share was limited. At most 1,000."""


def read_requests(path: Path, found: Found, *, seed: int = 1) -> Iterator[Request]:
    """Yield the requests of a file in the order of its lines, and fill `found`. Raises `LogRefused`."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            head = file.read(4096).lstrip()
        if not head:
            raise LogRefused(f"{path} is empty.")
        if head.startswith("{") and re.search(r'^\{\s*"log"\s*:\s*\{', head):
            found.kind = "HAR"
            yield from _read_har(path, found)
        else:
            yield from _read_lines(path, found, random.Random(seed))  # noqa: S311 - spreads requests in a second
    except OSError as error:
        raise LogRefused(f"{path} cannot be read: {error.strerror}.") from error
    if found.lines == found.skipped:
        hint = "Give an access log in combined format or JSON, a HAR, or the file of `leapcell emulate --record`."
        raise LogRefused(f"{path} has no request in a known format.", hint=hint)


def _read_lines(path: Path, found: Found, chance: random.Random) -> Iterator[Request]:
    combined = _Combined(chance)
    shares: dict[str, float] = {}
    with path.open(encoding="utf-8", errors="replace") as file:
        while line := file.readline(LONGEST_LINE):
            if line.startswith("{"):
                request = _json_line(line, found, shares)
            else:
                request = combined.read(line)
                if request is not None:
                    found.kind = found.kind or "access log"
            if request is not None:
                found.lines += 1
                yield request
            elif not line.isspace():
                found.lines += 1
                found.skipped += 1


class _Combined:
    """Reads lines in combined format; the day and second of the line before are kept, since most lines share them."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._text = ""
        self._time = 0.0

    def read(self, line: str) -> Request | None:
        match = _COMBINED.match(line)
        if match is None:
            return None
        text, path, status, size, taken = match.groups()
        if text != self._text:
            try:
                self._time = datetime.strptime(text, "%d/%b/%Y:%H:%M:%S %z").timestamp()
            except ValueError:
                return None
            self._text = text
        seconds = float(taken) if taken else None
        # Whole seconds are spread, or all of a second would arrive at once. The line is written at the end.
        time = self._time + self._chance.random() - (seconds or 0.0)
        return Request(time, path, seconds, None, 0 if size == "-" else int(size), int(status))


def _json_line(line: str, found: Found, shares: dict[str, float]) -> Request | None:
    try:
        row = json.loads(line)
        if row.get("kind") == "request":
            found.kind = "record"
            return _recorded(row, shares)
        if row.get("kind") == "start":
            share = share_of(row["memory_limit"]) if row["cpu_limited"] else 1.0
            shares[row["instance"]] = share
            if row["processor"] is not None and len(found.starts) < 1000:
                found.starts.append(
                    (row["end"] - row["start"], row["processor"], row["memory_limit"], row["cpu_limited"])
                )
            found.lines -= 1  # of the instance, not of the traffic
            found.skipped -= 1
            return None
        if row.get("kind") == "end":
            found.lines -= 1
            found.skipped -= 1
            return None
        return _logged(row, found)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _recorded(row: dict[str, Any], shares: dict[str, float]) -> Request:
    """A line of `leapcell emulate --record`; its duration is the instance's, without a start or a queue."""
    start, end, queue = float(row["start"]), float(row["end"]), float(row["queue"])
    if not row["instance"]:  # a rule refused it: no instance spent time on it
        return Request(start, str(row["path"]), 0.0, 0.0, int(row["bytes_out"]), int(row["status"]))
    return Request(
        start,
        str(row["path"]),
        max(0.0, end - start - queue),
        None if row["processor"] is None else float(row["processor"]),
        int(row["bytes_out"]),
        int(row["status"]),
        row["memory"],
        shares.get(row["instance"], 1.0),
    )


def _logged(row: dict[str, Any], found: Found) -> Request | None:
    """A line of FastOpp's log: of a request, or of uvicorn's access log, whose message has it."""
    time = datetime.fromisoformat(row["timestamp"]).timestamp()
    if "path" in row and "status" in row:
        seconds = float(row["duration_ms"]) / 1000 if row.get("duration_ms") is not None else None
        begun = time - (seconds or 0.0)
        request = Request(begun, str(row["path"]), seconds, None, int(row.get("bytes") or 0), int(row["status"]))
    elif row.get("logger") == "uvicorn.access" and (match := _UVICORN.match(row["message"])):
        request = Request(time, match[1], None, None, 0, int(match[2]))
    else:
        return None
    found.kind = "access log"
    return request


def _read_har(path: Path, found: Found) -> Iterator[Request]:
    if path.stat().st_size > LARGEST_HAR:
        raise LogRefused(f"{path} is larger than {LARGEST_HAR // 1_000_000} MB.", hint="Give an access log instead.")
    try:
        entries = json.loads(path.read_text(encoding="utf-8", errors="replace"))["log"]["entries"]
        for entry in entries:
            found.lines += 1
            request = _har_entry(entry)
            if request is None:
                found.skipped += 1
            else:
                yield request
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise LogRefused(f"{path} is no HAR: {error}.") from error


def _har_entry(entry: dict[str, Any]) -> Request | None:
    response, timings = entry["response"], entry.get("timings", {})
    if response["status"] <= 0 or entry.get("_fromCache") or response.get("_fetchedViaServiceWorker"):
        return None
    wait = timings.get("wait", -1)
    address = re.sub(r"^[a-z]+://[^/]*", "", entry["request"]["url"]) or "/"
    size = max(0, response.get("bodySize", 0)) or max(0, response.get("_transferSize", 0))
    return Request(
        datetime.fromisoformat(entry["startedDateTime"]).timestamp(),
        address,
        (wait if wait >= 0 else entry["time"]) / 1000,
        None,
        int(size),
        int(response["status"]),
    )
