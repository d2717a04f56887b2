"""The file format of a dump: lines of JSON in UTF-8, compressed with gzip.

    {"format": "fastopp-database", "version": 1, "created": "2026-01-31T23:30:00Z", "source": "sqlite",
     "revision": "0003", "tables": [{"name": "users", "columns": [["id", "uuid"], ["email", "text"], …]}, …]}
    {"table": "users"}
    ["6f1c7a52-…", "admin@example.com", …]
    …
    {"table": "products"}
    …
    {"rows": {"users": 8, "products": 8}, "sha256": "<of all lines before this one, line breaks included>"}

(The first is one line in the file.) Tables come after those they point to, and rows in the order of their primary
key, so that the same rows are the same bytes wherever they come from. The format of values is described in
dump_values.py. A file without its last line, or with another sum, is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastopp.features.database_backups.dump.errors import BadDump, RowTooLarge

FORMAT = "fastopp-database"
VERSION = 1
GZIP_MAGIC = b"\x1f\x8b"

MAX_ROW = 8 << 20  # bytes of a line; a restore holds it seven times, and may take 64 MB
MAX_MARK = 1 << 20  # bytes of a line that is no row

_CHECKED_FROM = 1 << 16  # bytes; a shorter line takes little memory in any case

# A value is a scalar, or one with the name of its kind. Possessive: a match takes no memory.
_SCALAR = rb'(?:"(?:[^"\\]++|\\.)*+"|[^\[\]{}",\s]++)'
_VALUE = rb"(?:" + _SCALAR + rb"|\{" + _SCALAR + rb":" + _SCALAR + rb"\})"

_WITH_GZIP_HEADER = 31  # zlib's `wbits`: https://docs.python.org/3/library/zlib.html#zlib.decompress
_PIECE = 1 << 18  # bytes unpacked at a time, so that a small file cannot fill the memory


@dataclass(frozen=True, slots=True)
class DumpedTable:
    """A table in a dump: its name, and the name and the kind of each column."""

    name: str
    columns: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class DumpHeader:
    """The first line of a dump."""

    created: str
    """The time of it, in UTC."""
    source: str
    """`sqlite` or `postgresql`."""
    revision: str | None
    """The migration that the database was at."""
    tables: tuple[DumpedTable, ...]


class DumpWriter:
    """Makes a dump, piece by piece. Its work is the processor's: call it in a thread."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        """Rows of each table so far."""
        self._table = ""
        self._sum = hashlib.sha256()
        # The header that zlib writes holds neither a name nor a time.
        self._gzip = zlib.compressobj(6, zlib.DEFLATED, _WITH_GZIP_HEADER)

    def begin(self, header: DumpHeader) -> bytes:
        """The first line."""
        tables = [{"name": table.name, "columns": table.columns} for table in header.tables]
        return self._write([{
            "format": FORMAT, "version": VERSION, "created": header.created, "source": header.source,
            "revision": header.revision, "tables": tables,
        }])  # fmt: skip

    def begin_table(self, name: str) -> bytes:
        """The line before a table's rows."""
        self._table = name
        self.rows[name] = 0
        return self._write([{"table": name}])

    def write_rows(self, rows: Sequence[Sequence[Any]]) -> bytes:
        """Rows of the table, as values. Raises RowTooLarge."""
        self.rows[self._table] += len(rows)
        return self._write(rows)

    def finish(self) -> bytes:
        """The last line."""
        return self._write([{"rows": self.rows, "sha256": self._sum.hexdigest()}]) + self._gzip.flush()

    def _write(self, values: Iterable[Any]) -> bytes:
        lines = [f"{_json(value)}\n".encode() for value in values]
        if any(len(line) > MAX_ROW for line in lines):
            raise RowTooLarge(f"A row of {self._table or 'the header'} takes more than {MAX_ROW >> 20} MiB in a dump.")
        data = b"".join(lines)
        self._sum.update(data)
        return self._gzip.compress(data)


class DumpReader:
    """Reads a dump, piece by piece. Its work is the processor's: call it in a thread.

    Raises BadDump as soon as something is wrong, at the latest in `finish`: until then, nothing that came out counts.
    """

    def __init__(self) -> None:
        self.header: DumpHeader | None = None
        """The first line, once it has been read."""
        self._table: DumpedTable | None = None
        self._row: re.Pattern[bytes] | None = None
        self._following: list[DumpedTable] = []
        self._rows: dict[str, int] = {}
        self._sum = hashlib.sha256()
        self._gzip = zlib.decompressobj(_WITH_GZIP_HEADER)
        self._partial = bytearray()
        self._complete = False

    def read(self, data: bytes) -> Iterator[tuple[DumpedTable, list[list[Any]]]]:
        """The rows that `data` completes, in pieces that are of one table each."""
        while data and not self._gzip.eof:
            try:
                piece = self._gzip.decompress(data, _PIECE)
            except zlib.error as error:
                raise BadDump from error
            data = self._gzip.unconsumed_tail
            self._partial += piece
            if (end := piece.rfind(b"\n") + 1) > 0:
                yield from self._read_lines(self._take(len(self._partial) - len(piece) + end))
            elif len(self._partial) > (MAX_ROW if self._table else MAX_MARK):
                raise BadDump("The dump is damaged: a row of it has no end.")
        if data or self._gzip.unused_data:
            raise BadDump

    def _take(self, size: int) -> Iterator[bytes]:
        """The lines among the first `size` bytes that are there, which are complete."""
        with memoryview(self._partial) as view:
            lines = io.BytesIO(view[:size])
        del self._partial[:size]
        return lines

    def finish(self) -> dict[str, int]:
        """The rows of each table. Raises BadDump when the dump is not complete."""
        if not (self._complete and self._gzip.eof) or self._partial:
            raise BadDump("The file ends too early: a part of the dump is missing.")
        return self._rows

    def _read_lines(self, lines: Iterable[bytes]) -> Iterator[tuple[DumpedTable, list[list[Any]]]]:
        rows: list[list[Any]] = []
        for line in lines:
            if len(line) > _CHECKED_FROM and not self._is_sound(line):
                raise BadDump
            value = _parse(line)
            if isinstance(value, list) and self._table and not self._complete:
                if len(value) != len(self._table.columns):
                    raise BadDump
                rows.append(value)
            elif isinstance(value, dict) and not self._complete:
                if rows and self._table:
                    yield self._counted(rows)
                    rows = []
                self._read_mark(value)
            else:
                raise BadDump
            self._sum.update(line)
        if rows:
            yield self._counted(rows)

    def _is_sound(self, line: bytes) -> bool:
        """Return whether a long line is as large in memory as it looks: no row of other tables, and not nested."""
        if self._table is None or not line.startswith(b"["):
            return len(line) <= MAX_MARK
        if self._row is None:
            others = b"(?:," + _VALUE + b"){%d}" % (len(self._table.columns) - 1) if self._table.columns else b""
            self._row = re.compile(rb"\[" + _VALUE + others + rb"\]\s*", re.DOTALL)
        return self._row.fullmatch(line) is not None

    def _counted(self, rows: list[list[Any]]) -> tuple[DumpedTable, list[list[Any]]]:
        assert self._table is not None  # noqa: S101 - rows are read only then
        self._rows[self._table.name] += len(rows)
        return self._table, rows

    def _read_mark(self, value: dict[str, Any]) -> None:
        if self.header is None:
            self.header = _read_header(value)
            self._following = list(self.header.tables)
        elif "table" in value:
            if not self._following or self._following[0].name != value["table"]:
                raise BadDump
            self._table = self._following.pop(0)
            self._row = None
            self._rows[self._table.name] = 0
        elif self._following or value.get("sha256") != self._sum.hexdigest() or value.get("rows") != self._rows:
            raise BadDump("The dump is damaged: its checksum or its number of rows is another one.")
        else:
            self._complete = True


def _json(value: Any) -> str:  # noqa: ANN401 - any JSON
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _parse(line: bytes) -> Any:  # noqa: ANN401 - any JSON
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadDump from error


def _read_header(value: dict[str, Any]) -> DumpHeader:
    if value.get("format") != FORMAT:
        raise BadDump
    if value.get("version") != VERSION:
        raise BadDump(
            f"The dump is of version {value.get('version')!r}, which this FastOpp does not know.",
            hint="Restore it with the FastOpp that made it, or with a newer one.",
        )
    try:
        tables = tuple(
            DumpedTable(str(table["name"]), tuple((str(name), str(kind)) for name, kind in table["columns"]))
            for table in value["tables"]
        )
        return DumpHeader(str(value["created"]), str(value["source"]), value["revision"], tables)
    except (KeyError, TypeError, ValueError) as error:
        raise BadDump from error
