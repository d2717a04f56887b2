"""Dumps that are small as a file and large in memory: refused soon, and read in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from fastopp.features.database_backups.dump.errors import RowTooLarge
from fastopp.features.database_backups.dump.format import FORMAT, MAX_ROW, VERSION, DumpWriter
from tests.gate import only_full

MIB = 2**20
ALLOWED = 64_000_000  # bytes of memory that reading may take

READ = """
import resource, sys, time
from fastopp.features.database_backups.dump.errors import BadDump
from fastopp.features.database_backups.dump.format import DumpReader
from tests.gate import only_full

reader, rows = DumpReader(), 0
before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
outcome = "read"
try:
    with open(sys.argv[1], "rb") as file:
        while data := file.read(1 << 18):
            for _table, found in reader.read(data):
                rows += len(found)
except BadDump:
    outcome = "refused"
growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
print(outcome, rows, growth, time.process_time() - began)
"""


def header(columns: int = 1) -> bytes:
    table = {"name": "t", "columns": [[f"c{number}", "text"] for number in range(columns)]}
    first = {"format": FORMAT, "version": VERSION, "created": "", "source": "sqlite", "revision": None}
    return json.dumps(first | {"tables": [table]}).encode() + b'\n{"table": "t"}\n'


def bomb(path: Path, start: bytes, repeated: bytes, times: int, end: bytes) -> Path:
    compress = zlib.compressobj(6, zlib.DEFLATED, 31)
    batch = repeated * (MIB // len(repeated))
    with path.open("wb") as file:
        file.write(compress.compress(start))
        for _ in range(times):
            file.write(compress.compress(batch))
        file.write(compress.compress(end) + compress.flush())
    return path


@pytest.mark.parametrize(
    ("name", "start", "repeated", "times", "end", "outcome"),
    [
        ("one line", header() + b'["', b"a", 200, b'"]\n', "refused"),
        ("a first line", b'{"format": "', b"a", 200, b'"}\n', "refused"),
        ("lists", header() + b"[[[]", b",[]", 7, b"]]\n", "refused"),
        ("columns", header() + b"[1.5", b",1.5", 7, b"]\n", "refused"),
        ("a header of lists", b'{"tables": [[]', b",[]", 7, b"]}\n", "refused"),
        ("a large row", header(2) + b'["', b"\\n", 7, b'",{"bytes":"AAAA"}]\n', "read"),
        *only_full(("small rows", header(), b'["a"]\n', 20, b"", "read")),
    ],
)
def test_a_bomb(tmp_path: Path, name: str, start: bytes, repeated: bytes, times: int, end: bytes, outcome: str) -> None:
    path = bomb(tmp_path / "bomb.gz", start, repeated, times, end)
    done = subprocess.run([sys.executable, "-c", READ, str(path)], check=True, capture_output=True, text=True)
    said, _rows, growth, seconds = done.stdout.split()
    assert said == outcome, name
    assert int(growth) < ALLOWED
    if outcome == "refused":
        assert float(seconds) < 5


def test_a_row_that_could_not_be_restored_is_not_dumped() -> None:
    writer = DumpWriter()
    writer.begin_table("letters")
    writer.write_rows([["x" * (MAX_ROW - 100)]])
    with pytest.raises(RowTooLarge, match="letters"):
        writer.write_rows([["x"], ["x" * MAX_ROW]])
