"""Redis's requests: names found in them, some made unknown, everything else as it came."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leapcell_emulator.services.redis_wire import LONGEST_LINE, Requests

LONGEST = 1000


def refused(name: str) -> bool:
    return name.startswith("ev")


def requests() -> Requests:
    return Requests(refused, longest=LONGEST)


def array(*strings: bytes) -> bytes:
    return b"*%d\r\n" % len(strings) + b"".join(b"$%d\r\n%s\r\n" % (len(one), one) for one in strings)


# What looks like a command within a value is none.
STRINGS = st.binary(max_size=100) | st.sampled_from([b"EVAL", b"*1\r\n$4\r\nEVAL\r\n", b"\r\n", b"x" * LONGEST])
NAMES = st.sampled_from([b"GET", b"EVAL", b"evalsha", b"ping", b"x" * 50, b"", b"\0", b"e v"])
ARRAYS = st.tuples(NAMES, st.lists(STRINGS, max_size=4)).map(
    lambda parts: (
        array(parts[0], *parts[1]),
        array(parts[0] + b"\0" if parts[0] in (b"EVAL", b"evalsha") else parts[0], *parts[1]),
    )
)
LINES = st.sampled_from(
    [
        (b"PING\r\n", b"PING\r\n"),
        (b"set a 'EVAL b'\n", b"set a 'EVAL b'\n"),
        (b"\r\n", b"\r\n"),
        (b"*0\r\n", b"*0\r\n"),
        (b"*-1\r\n", b"*-1\r\n"),
        (b'  "EVAL" "return 1" 0\r\n', b"*1\r\n$5\r\nEVAL\0\r\n"),
    ]
)


@settings(deadline=None)
@given(st.lists(ARRAYS | LINES, max_size=8), st.data())
def test_however_a_stream_is_cut_only_the_refused_names_change(
    sent: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(before for before, _ in sent)
    reader = requests()
    passed_on = b""
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        passed_on += reader.feed(stream[:size])
        stream = stream[size:]
    assert passed_on == b"".join(after for _, after in sent)
    assert not reader.broken


@pytest.mark.parametrize(
    "sent",
    [
        b"*x\r\n",
        b"*1\n",
        b"*99999999999\r\n",
        b"*1\r\nPING\r\n",
        b"*2\r\n$3\r\nGET\r\n$-5\r\n",
        b"*2\r\n$3\r\nGET\r\n$%d\r\n" % (LONGEST + 1),
        b"x" * LONGEST_LINE,
        b"*" + b"1" * LONGEST_LINE,
    ],
)
def test_what_is_no_request_is_the_last_that_is_passed_on(sent: bytes) -> None:
    reader = requests()
    assert reader.feed(sent) == sent
    assert reader.broken
    assert reader.feed(b"*1\r\n$4\r\nEVAL\r\n") == b"*1\r\n$4\r\nEVAL\r\n"  # nobody does


def test_values_are_not_gathered() -> None:
    reader = requests()
    assert reader.feed(b"*2\r\n$3\r\nSET\r\n$1000\r\nbegin") == b"*2\r\n$3\r\nSET\r\n$1000\r\nbegin"
    assert reader.feed(b"x" * 100) == b"x" * 100
