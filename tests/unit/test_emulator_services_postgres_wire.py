"""PostgreSQL's messages: cut, read, and judged."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leapcell_emulator.services import postgres_wire as wire

MESSAGES = st.lists(st.tuples(st.sampled_from([b"Q", b"P", b"d", b"S"]), st.binary(max_size=300)), max_size=8)


@settings(deadline=None)
@given(MESSAGES, st.data())
def test_however_a_stream_is_cut_its_messages_come_out_whole(
    parts: list[tuple[bytes, bytes]], data: st.DataObject
) -> None:
    messages = [wire.message(kind, body) for kind, body in parts]
    stream = b"".join(messages)
    framer = wire.Framer()
    found: list[bytes] = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += framer.feed(stream[:size])
        stream = stream[size:]
    assert found == messages


def test_a_startup_packet_says_what_was_put_in() -> None:
    packet = wire.startup_packet({"user": "me", "database": "mine", "application_name": ""})
    assert wire.startup_parameters(packet) == {"user": "me", "database": "mine", "application_name": ""}
    assert wire.startup_code(packet) == 3 << 16
    assert int.from_bytes(packet[:4]) == len(packet)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x03", b"\x00\x00\x00\x08\x04", b""])
async def test_a_connection_that_is_not_postgresqls(sent: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(sent)
    reader.feed_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await wire.read_startup(reader)


@pytest.mark.parametrize(
    ("sql", "word"),
    [
        ("LISTEN jobs", "LISTEN"),
        ("  set search_path to other", "SET LOCAL"),
        ("SET SESSION statement_timeout = 5", "SET LOCAL"),
        ("select pg_advisory_lock(1)", "pg_advisory_xact_lock"),
        ("SELECT\n pg_try_advisory_lock (1, 2)", "pg_advisory_xact_lock"),
        ("prepare p as select 1", "PREPARE"),
        ("create temp table t (a int)", "temporary table"),
        ("CREATE LOCAL TEMPORARY TABLE t (a int)", "temporary table"),
        ("declare c cursor with hold for select 1", "cursor"),
    ],
)
def test_what_stays_on_a_server_connection(sql: str, word: str) -> None:
    for sent in (wire.query(sql), wire.message(wire.PARSE, b"\0" + sql.encode() + b"\0\0\0")):
        assert word in (wire.session_state(sent) or "")


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        "SET LOCAL statement_timeout = 5",
        "set transaction isolation level serializable",
        "select pg_advisory_xact_lock(1)",
        "prepare transaction 'two-phase'",
        "update users set name = 'listen'",
        "create table temporary_things (a int)",
        "notify jobs",
    ],
)
def test_what_stays_within_its_transaction(sql: str) -> None:
    assert wire.session_state(wire.query(sql)) is None


def test_only_a_named_statement_is_remarked_on() -> None:
    assert "prepared statement" in (wire.session_state(wire.message(wire.PARSE, b"_pg3_0\0select 1\0\0\0")) or "")
    assert wire.session_state(wire.message(wire.PARSE, b"\0select 1\0\0\0")) is None
    assert wire.session_state(wire.message(wire.SYNC, b"")) is None
