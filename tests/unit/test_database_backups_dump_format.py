"""The file of a dump, its values, and its encryption; without a database."""

from __future__ import annotations

import json
import math
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastopp.features.database_backups.dump import encryption
from fastopp.features.database_backups.dump.encryption import (
    CHUNK,
    Damaged,
    Decryptor,
    Encryptor,
    NotEncrypted,
    WrongKey,
)
from fastopp.features.database_backups.dump.errors import BadDump, ValueDoesNotFit
from fastopp.features.database_backups.dump.format import DumpedTable, DumpHeader, DumpReader, DumpWriter
from fastopp.features.database_backups.dump.to_postgresql import to_postgresql
from fastopp.features.database_backups.dump.to_sqlite import to_sqlite
from fastopp.features.database_backups.dump.values import from_postgresql, from_sqlite
from fastopp.settings import SettingsError, load_settings

HEADER = DumpHeader("2026-01-31T23:30:00Z", "sqlite", "0003", (
    DumpedTable("a", (("id", "int"), ("text", "text"))), DumpedTable("empty", (("id", "int"),)),
    DumpedTable("b", (("x", "float"),)),
))  # fmt: skip
ROWS = {"a": [[1, "line\nbreak \u2028 \r \0 \U0001f600"], [2, None]], "empty": [], "b": [[0.1], [5e-324], ["NaN"]]}


def written(header=HEADER, rows=None):
    writer = DumpWriter()
    data = writer.begin(header)
    for table in header.tables:
        data += writer.begin_table(table.name)
        data += writer.write_rows((rows or ROWS)[table.name])
    return data + writer.finish()


def read(data, size=1 << 20):
    reader, rows = DumpReader(), {}
    for start in range(0, len(data), size):
        for table, found in reader.read(data[start : start + size]):
            rows.setdefault(table.name, []).extend(found)
    counted = reader.finish()
    return reader.header, rows, counted


def packed(lines):
    compress = zlib.compressobj(6, zlib.DEFLATED, 31)
    return compress.compress(b"".join(line + b"\n" for line in lines)) + compress.flush()


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_dump_reads_as_it_was_written(size):
    header, rows, counted = read(written(), size)
    assert header == HEADER
    assert rows == {name: found for name, found in ROWS.items() if found}
    assert counted == {"a": 2, "empty": 0, "b": 3}


def test_the_same_rows_are_the_same_bytes():
    assert written() == written()


def test_every_line_is_json_that_others_can_read():
    first, *_, last = zlib.decompress(written(), 31).splitlines()
    assert json.loads(first)["format"] == "fastopp-database"
    assert json.loads(last)["rows"] == {"a": 2, "empty": 0, "b": 3}


def test_a_dump_that_lost_its_end_is_refused():
    data = written()
    for length in range(len(data)):
        with pytest.raises(BadDump):
            read(data[:length])


def test_a_dump_that_lost_lines_gained_lines_or_changed_is_refused():
    lines = zlib.decompress(written(), 31).split(b"\n")[:-1]
    for index in range(len(lines)):
        with pytest.raises(BadDump):
            read(packed(lines[:index] + lines[index + 1 :]))
        with pytest.raises(BadDump):
            read(packed(lines[: index + 1] + lines[index:]))
        for old, new in ((b"1", b"7"), (b"a", b"e"), (b"[", b"{"), (b'"', b"'")):
            if old in lines[index] and new != old:
                with pytest.raises(BadDump):
                    read(packed([*lines[:index], lines[index].replace(old, new, 1), *lines[index + 1 :]]))
    with pytest.raises(BadDump):
        read(written() + b"x")
    with pytest.raises(BadDump):
        read(written() + written())


def test_a_newer_version_is_named():
    first, *rest = zlib.decompress(written(), 31).splitlines()
    with pytest.raises(BadDump, match="version 2"):
        read(packed([first.replace(b'"version":1', b'"version":2'), *rest]))


@pytest.mark.parametrize("line", [b"{}", b"[]", b"null", b'"x"', b"{", b"\xff", b'{"format":"fastopp-database"}',
                                  b'{"format":"fastopp-database","version":1,"tables":[{}]}'])  # fmt: skip
def test_what_is_no_header_is_refused(line):
    with pytest.raises(BadDump):
        read(packed([line]))


# Encryption


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch):
    monkeypatch.setattr(encryption, "_SCRYPT_N", 2)


def sealed(data, secret="a secret", size=1 << 20):
    encryptor = Encryptor(secret)
    pieces = [encryptor.update(data[start : start + size]) for start in range(0, len(data), size)]
    return b"".join(pieces) + encryptor.finish()


def opened(data, secrets=("a secret",), size=1 << 20):
    decryptor = Decryptor(secrets)
    pieces = [decryptor.update(data[start : start + size]) for start in range(0, len(data), size)]
    return b"".join(pieces) + decryptor.finish()


@given(st.integers(0, 3 * CHUNK), st.integers(1000, 2 * CHUNK), st.integers(1000, 2 * CHUNK))
@settings(max_examples=40, deadline=None)
def test_what_was_sealed_in_any_pieces_is_opened_in_any(length, size, other):
    data = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    assert opened(sealed(data, size=size), size=other) == data


@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK])
def test_every_loss_and_change_is_noticed(length):
    data = sealed(b"x" * length)
    for cut in {0, 1, 19, 20, 51, 52, 53, len(data) // 2, len(data) - CHUNK, len(data) - 16, len(data) - 1}:
        if 0 <= cut < len(data):
            with pytest.raises((Damaged, NotEncrypted)):
                opened(data[:cut])
    for place in (0, 20, 36, 52, len(data) - 1):
        changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        with pytest.raises((Damaged, NotEncrypted, WrongKey)):
            opened(changed)
    with pytest.raises(Damaged):
        opened(data + b"x")


def test_chunks_cannot_change_places_or_files():
    start, chunk = 52, CHUNK + 16
    one, other = sealed(b"x" * 3 * CHUNK), sealed(b"x" * 3 * CHUNK)
    swapped = (
        one[:start] + one[start + chunk : start + 2 * chunk] + one[start : start + chunk] + one[start + 2 * chunk :]
    )
    mixed = one[: start + chunk] + other[start + chunk :]
    without_last = one[: start + 2 * chunk]
    for data in (swapped, mixed, without_last):
        with pytest.raises(Damaged):
            opened(data)


def test_keys():
    data = sealed(b"x")
    with pytest.raises(WrongKey) as caught:
        opened(data, ["A secret", ""])
    assert "BACKUP_KEY" in str(caught.value)
    assert "secret" not in str(caught.value).lower().replace("secret_key", "")
    assert opened(data, ["another", "a secret"]) == b"x"
    assert sealed(b"x") != data


def test_backup_key_is_checked_and_secret_key_stands_in_for_it():
    both = load_settings({"BACKUP_KEY": "x" * 16, "SECRET_KEY": "s" * 32}, env_file=Path("/nonexistent"))
    assert both.backup_keys == ("x" * 16, "s" * 32)
    assert "x" * 16 not in repr(both)
    assert load_settings({"SECRET_KEY": "s" * 32}, env_file=Path("/nonexistent")).backup_keys == ("s" * 32,)
    with pytest.raises(SettingsError, match="BACKUP_KEY"):
        load_settings({"BACKUP_KEY": "x" * 15}, env_file=Path("/nonexistent"))


# Values


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("bool", "true", True), ("bool", "false", False), ("int", "-9223372036854775808", -(2**63)),
        ("float", "0.30000000000000004", 0.1 + 0.2), ("float", "-Infinity", "-Infinity"), ("float", "NaN", "NaN"),
        ("bytes", "\\x00ff", "AP8="), ("bytes", "\\x", ""),
        ("timestamptz", "2026-01-31 23:30:00.5+00", "2026-01-31T23:30:00.500000"),
        ("timestamp", "2026-01-31 23:30:00", "2026-01-31T23:30:00.000000"),
        ("timestamptz", "infinity", "infinity"), ("timestamp", "0044-03-15 12:00:00 BC", "0044-03-15 12:00:00 BC"),
        ("time", "23:59:59.5", "23:59:59.500000"), ("time", "24:00:00", "24:00:00"),
    ],
)  # fmt: skip
def test_texts_of_postgresql(kind, text, value):
    convert = from_postgresql(kind)
    assert convert
    assert convert(text) == value
    again = convert(to_postgresql(kind, value))
    assert again == value


@given(st.floats(allow_nan=False))
def test_floats_are_exact(number):
    read, value = from_sqlite("float", None), from_postgresql("float")(repr(number))
    assert read(number) == value
    assert float(json.loads(json.dumps(value))) == number
    assert math.copysign(1, to_sqlite("float", value, declared="FLOAT")) == math.copysign(1, number)
    assert float(to_postgresql("float", value).replace("Infinity", "inf")) == number


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("bool", 1, True), ("bool", 2, {"int": 2}), ("bool", "t", {"text": "t"}), ("int", 1.5, {"float": 1.5}),
        ("int", "many", {"text": "many"}), ("float", math.inf, "Infinity"), ("text", b"\xff", {"bytes": "/w=="}),
        ("uuid", "6F1C7A52" * 4, "6f1c7a52-6f1c-7a52-6f1c-7a526f1c7a52"), ("uuid", "x", {"text": "x"}),
        ("json", 5, "5"), ("json", '{"a": 1.10}', '{"a": 1.10}'), ("any", 1, {"int": 1}), ("bytes", b"", ""),
        ("timestamp", "2026-01-31 23:30:00+01:00", "2026-01-31T22:30:00.000000"),
        ("timestamp", "soon", {"text": "soon"}), ("date", "2026-01-31", "2026-01-31"), ("text", None, None),
    ],
)  # fmt: skip
def test_values_of_sqlite(kind, raw, value):
    assert from_sqlite(kind, None)(raw) == value


def test_numerics():
    assert from_sqlite("numeric", 2)(10.5) == "10.50"
    assert from_sqlite("numeric", 2)(10.505) == "10.505"
    assert from_sqlite("numeric", None)(1e22) == "10000000000000000000000"
    assert to_sqlite("numeric", "10.50", declared="NUMERIC") == 10.5
    assert to_sqlite("numeric", str(2**62 + 1), declared="NUMERIC") == 2**62 + 1
    assert to_sqlite("numeric", "0.1234567890123456789", declared="VARCHAR") == "0.1234567890123456789"


@pytest.mark.parametrize(("kind", "value"), [
    ("numeric", "0.1234567890123456789"), ("numeric", "NaN"), ("int", 2**63), ("float", "NaN"),
    ("timestamp", "infinity"), ("time", "24:00:00"),
])  # fmt: skip
def test_what_sqlite_cannot_hold(kind, value):
    with pytest.raises(ValueDoesNotFit):
        to_sqlite(kind, value, declared="NUMERIC")


def test_a_uuid_has_no_hyphens_where_sqlalchemy_writes_none():
    value = "6f1c7a52-6f1c-7a52-6f1c-7a526f1c7a52"
    assert to_sqlite("uuid", value, declared="CHAR") == "6f1c7a52" * 4
    assert to_sqlite("uuid", value, declared="VARCHAR") == value
