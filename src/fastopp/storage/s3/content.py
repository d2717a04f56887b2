"""Contents on their way into Object Storage: in parts, and hashed without holding up the event loop."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

from fastopp.storage.checksums import PART_SIZE, ContentDigest
from fastopp.storage.threads import run_to_end

Part = bytes | memoryview
Content = bytes | AsyncIterable[bytes]

_HASHED_AT_ONCE = 256 * 1024  # bytes: 1 ms, less than to hand it to a thread is worth


async def parts_of(data: Content) -> AsyncIterator[Part]:
    """The content in parts of PART_SIZE; the last one may be shorter, and of nothing there is none."""
    if isinstance(data, bytes | bytearray | memoryview):
        view = memoryview(data)
        for start in range(0, len(view), PART_SIZE):
            yield view[start : start + PART_SIZE]
        return
    part = bytearray()
    async for chunk in data:
        rest = memoryview(chunk)
        while len(part) + len(rest) > PART_SIZE:
            taken = PART_SIZE - len(part)
            yield memoryview(part + rest[:taken])
            part, rest = bytearray(), rest[taken:]
        part += rest
    if part:
        yield memoryview(part)


async def chained(first: Part, second: Part, rest: AsyncIterator[Part]) -> AsyncIterator[Part]:
    """The parts that were taken already, and then the others."""
    yield first
    yield second
    async for part in rest:
        yield part


async def take_in(digest: ContentDigest, piece: Part) -> ContentDigest:
    """Update a digest, in a worker thread when it takes long; return it."""
    if len(piece) > _HASHED_AT_ONCE:
        await run_to_end(digest.update, piece)
    else:
        digest.update(piece)
    return digest


async def digest_of(pieces: AsyncIterable[bytes]) -> ContentDigest:
    """The checksums of all pieces."""
    digest = ContentDigest()
    async for piece in pieces:
        await take_in(digest, piece)
    return digest
