"""Every input of `cost`: logs in combined format and JSON, records, HAR, and what is none of them."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from pathlib import Path

import pytest

from leapcell_emulator.cost import logs
from leapcell_emulator.cost.logs import Found, LogRefused, read_requests
from leapcell_emulator.cost.request import ORDERED_AHEAD, Request, in_order, route_of

COMBINED = (
    '203.0.113.7 - - [30/Nov/2026:21:00:44 +0000] "GET /books/1?q=x HTTP/1.1" 200 5120 "-" "Mozilla/5.0 \\"x\\""\n'
    '203.0.113.7 - ann [30/Nov/2026:21:00:45 +0000] "POST /async/mail HTTP/1.1" 202 - "-" "curl/8"\n'
)


def write(folder: Path, text: str) -> Path:
    path = folder / "input"
    path.write_text(text)
    return path


def read(path: Path) -> tuple[list[Request], Found]:
    found = Found()
    return list(read_requests(path, found)), found


def test_combined(tmp_path: Path) -> None:
    requests, found = read(write(tmp_path, COMBINED + "not a line\n\n"))
    assert [(each.path, each.bytes_out, each.status, each.seconds) for each in requests] == [
        ("/books/1?q=x", 5120, 200, None),
        ("/async/mail", 0, 202, None),
    ]
    assert all(
        second <= each.time < second + 1 for each, second in zip(requests, (1796072444, 1796072445), strict=True)
    )
    assert (found.kind, found.lines, found.skipped) == ("access log", 3, 1)
    assert read(tmp_path / "input")[0] == requests  # the same seed spreads them alike


def test_a_duration_at_the_end_of_a_line_moves_the_arrival(tmp_path: Path) -> None:
    line = COMBINED.splitlines()[0] + " 2.500\n"
    [request], _ = read(write(tmp_path, line))
    assert request.seconds == 2.5
    assert 1796072444 - 2.5 <= request.time < 1796072445 - 2.5


def test_our_own_log(tmp_path: Path) -> None:
    rows = [
        {"timestamp": "2026-11-30T21:00:44+00:00", "level": "INFO", "logger": "fastopp", "message": "started"},
        {
            "timestamp": "2026-11-30T21:00:45.500000+00:00",
            "logger": "uvicorn.access",
            "message": '127.0.0.1:0 - "GET /x HTTP/1.1" 200',
        },
        {
            "timestamp": "2026-11-30T21:00:46+00:00",
            "path": "/y",
            "status": 200,
            "duration_ms": 500,
            "bytes": 10,
            "message": "",
        },
    ]
    requests, found = read(write(tmp_path, "\n".join(map(json.dumps, rows))))
    assert requests == [Request(1796072445.5, "/x"), Request(1796072445.5, "/y", 0.5, None, 10)]
    assert found.skipped == 1


def test_a_record(tmp_path: Path) -> None:
    request = {
        "kind": "request", "start": 100.0, "end": 101.5, "queue": 1.0, "cold": True, "frozen": 0, "processor": 0.2,
        "memory": 1000, "method": "GET", "path": "/a", "status": 200, "bytes_in": 0, "bytes_out": 7, "instance": "i1",
        "rule": "",
    }  # fmt: skip
    start = {
        "kind": "start", "instance": "i1", "start": 100.0, "end": 101.0, "processor": 0.7, "memory_limit": 512,
        "cpu_limited": True,
    }  # fmt: skip
    refused = {**request, "instance": "", "rule": "E12", "status": 429, "processor": None}
    requests, found = read(write(tmp_path, "\n".join(map(json.dumps, (start, request, refused, {"kind": "end"})))))
    assert requests[0] == Request(100.0, "/a", 0.5, 0.2, 7, 200, 1000, 512 / 1769)
    assert (requests[1].seconds, requests[1].processor) == (0.0, 0.0)
    assert found.starts == [(1.0, 0.7, 512, True)]
    assert (found.kind, found.lines, found.skipped) == ("record", 2, 0)


def test_a_har(tmp_path: Path) -> None:
    entry = {
        "startedDateTime": "2026-11-30T21:00:44.000Z",
        "time": 80,
        "request": {"url": "https://shop.example/books?q=1"},
        "response": {"status": 200, "bodySize": 400},
        "timings": {"wait": 50},
    }
    blocked = {**entry, "response": {"status": 0, "bodySize": -1}}
    har = {"log": {"version": "1.2", "entries": [entry, blocked]}}
    requests, found = read(write(tmp_path, json.dumps(har)))
    assert requests == [Request(1796072444.0, "/books?q=1", 0.05, None, 400)]
    assert (found.kind, found.skipped) == ("HAR", 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("hello\nworld\n", "no request in a known format"),
        ('{"log": {"entries": [{}]}}', "is no HAR"),
        ('{"log": {"entries": 3}}', "is no HAR"),
        ('{"log": {', "is no HAR"),
        ("{" * 10_000, "no request in a known format"),
        ('{"kind": "request"}\n[1]\n{"timestamp": 3}\n{"timestamp": "x", "path": 1}', "no request in a known format"),
        ('1 - - [99/Foo/2026:21:00:44 +0000] "GET / HTTP/1.1" 200 1', "no request in a known format"),
    ],
)
def test_what_is_no_traffic(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(LogRefused, match=message):
        read(write(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(LogRefused, match="cannot be read"):
        read(tmp_path / "none")


def test_a_har_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST_HAR", 10)
    with pytest.raises(LogRefused, match="is larger than"):
        read(write(tmp_path, '{"log": {"entries": []}}'))


def test_requests_are_put_in_order_in_bounded_memory() -> None:
    late = [Request(5.0), Request(3.0), Request(4.0)]
    assert [each.time for each in in_order(late)] == [3.0, 4.0, 5.0]
    # One that comes after everything that was held back has the last time.
    many = itertools.chain((Request(float(n)) for n in range(10, ORDERED_AHEAD + 20)), [Request(1.0)])
    times = [each.time for each in in_order(many)]
    assert times == sorted(times)
    assert len(times) == ORDERED_AHEAD + 11


@pytest.mark.parametrize(
    ("text", "most"), [(COMBINED * 1_500, 130_000), (COMBINED + "x" * 3_000_000 + "\n", 1_000_000)]
)
def test_a_long_log_takes_no_memory(tmp_path: Path, text: str, most: int) -> None:
    """25 bytes for each of the 3,000 lines would be too many, and so would one line of 3 MB."""
    for _ in read_requests(write(tmp_path, COMBINED), Found()):
        pass  # reading dates imports a module
    path = write(tmp_path, text)
    tracemalloc.start()
    try:
        for _ in read_requests(path, Found()):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/books/17?q=1", "/books/{id}"),
        ("/books/17/pages/3", "/books/{id}/pages/{id}"),
        ("/b/0f8fad5b-d9cb-469f-a165-70867728950e", "/b/{id}"),
        ("/top10", "/top10"),
    ],
)
def test_pages_of_one_route_count_together(path: str, route: str) -> None:
    assert route_of(path) == route
