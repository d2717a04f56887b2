"""A look into Redis: its keys with their types and times to live, and the first elements of one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

from leapcell_emulator.errors import BadRequest, NotFound
from leapcell_emulator.rule import format_size
from leapcell_emulator.services.look import LONGEST, ROWS, Table, shorten

_KEYS: Final = 200
_SCANS: Final = 100  # pages of a scan
_LARGEST: Final = 8 * 1024 * 1024  # bytes of one value that are read
_LAST: Final = ROWS - 1
# The command that reads the first elements of each type.
_READ: Final = {
    "string": ("GETRANGE", "{key}", "0", str(LONGEST)),
    "list": ("LRANGE", "{key}", "0", str(_LAST)),
    "set": ("SSCAN", "{key}", "0", "COUNT", str(ROWS)),
    "zset": ("ZRANGE", "{key}", "0", str(_LAST), "WITHSCORES"),
    "hash": ("HSCAN", "{key}", "0", "COUNT", str(ROWS)),
}
_PAIRS: Final = {"zset": ["Member", "Score"], "hash": ["Field", "Value"]}


async def look(socket: Path, password: str, key: str) -> Table:
    """Return the keys, or what one holds. Raises `NotFound`, `BadRequest`."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(socket))
    except OSError as error:
        raise BadRequest(f"Redis does not answer: {error}.") from error
    try:
        async with asyncio.timeout(5):
            server = _Server(reader, writer)
            await server.ask("AUTH", password)
            return await (_value(server, key) if key else _keys(server))
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
        raise BadRequest(f"Redis does not answer: {error!r}.") from error
    finally:
        writer.close()


async def _keys(server: _Server) -> Table:
    table = Table(columns=["Key", "Type", "Lives for"])
    keys: set[str] = set()
    cursor = "0"
    for _ in range(_SCANS):
        cursor, page = await server.ask("SCAN", cursor, "COUNT", "1000")
        keys.update(page)
        if cursor == "0" or len(keys) > _KEYS:
            break
    for key in sorted(keys)[:_KEYS]:
        kind, seconds = await server.ask("TYPE", key), int(await server.ask("TTL", key))
        table.rows.append([shorten(key), str(kind), "ever" if seconds < 0 else f"{seconds} s"])
        table.opens.append(key)
    table.more = cursor != "0" or len(keys) > _KEYS
    return table


async def _value(server: _Server, key: str) -> Table:
    kind = str(await server.ask("TYPE", key))
    if kind == "none":
        raise NotFound(f"There is no key {key}.")
    if kind not in _READ:
        return Table(columns=["Value"], note=f"A {kind} is not shown.")
    size = int(await server.ask("MEMORY", "USAGE", key) or 0)
    if kind != "string" and size > _LARGEST:
        return Table(columns=["Value"], note=f"It has {format_size(size)}, too many to show.")
    found = await server.ask(*(part.format(key=key) if part == "{key}" else part for part in _READ[kind]))
    elements = [found] if kind == "string" else found[1] if kind in ("set", "hash") else found
    if kind in _PAIRS:
        rows = [list(pair) for pair in zip(elements[::2], elements[1::2], strict=True)]
        return Table(columns=_PAIRS[kind], rows=[[shorten(part) for part in row] for row in rows[:ROWS]])
    return Table(columns=["Value"], rows=[[shorten(element)] for element in elements[:ROWS]])


class _Server:
    """Asks a Redis: https://redis.io/docs/latest/develop/reference/protocol-spec/."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def ask(self, *command: str) -> Any:  # noqa: ANN401 - a text, or lists of them
        parts = [part.encode("utf-8", "surrogateescape") for part in command]
        self._writer.write(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
        return await self._read()

    async def _read(self) -> Any:  # noqa: ANN401 - as above
        line = (await self._reader.readuntil(b"\r\n"))[:-2]
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            if int(rest) < 0:
                return ""
            return (await self._reader.readexactly(int(rest) + 2))[:-2].decode("utf-8", "surrogateescape")
        if kind == b"*":
            return [await self._read() for _ in range(int(rest))]
        if kind == b"-":
            raise BadRequest(f"Redis refuses: {rest.decode(errors='replace')}.")
        return rest.decode()
