"""Uploads that go from the browser straight into the Object Storage, since they are too large for the platform.

The address is signed for one staged name, one size and one content type, and the server refuses anything else. What
the bytes are is checked when the browser reports that it is done. Only then the file is copied to its key, on the
condition that it still is the one that was checked, and the copy, which no PUT can change, is checked again. No route
serves what is staged. A ticket, signed too, brings back what was agreed on.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import uuid
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy.ext.asyncio import AsyncEngine

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import BadRequest, FastOppError
from fastopp.settings import Settings
from fastopp.storage import announced, deadlines
from fastopp.storage.announced import Limits
from fastopp.storage.base import FileMissing, PresignedUpload, Storage, StoredFile
from fastopp.storage.file_types import HEAD_BYTES, is_of_type
from fastopp.storage.keys import DEFAULT_CONTENT_TYPE, RESERVED, content_type_of, extension_of, is_reserved, new_key
from fastopp.storage.sweep import run
from fastopp.storage.threads import shielded

logger = logging.getLogger(__name__)

MB = 1_000_000  # bytes, as plans count

MAX_SIZE = 5 * 1024**3  # bytes: the most that S3 takes in one request
LIFETIME = timedelta(minutes=15)  # of the permission to begin; a transfer that has begun goes on
DEFAULT_PREFIX = "files"

_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}(/[a-z0-9][a-z0-9_-]{0,63}){0,3}")


class TypeNotTaken(FastOppError):
    """Files of this type are not accepted."""

    status = 415
    hint = "Send a picture (JPEG, PNG, WebP, GIF, AVIF), PDF, MP4, ZIP, CSV, JSON or plain text."


class UploadRefused(FastOppError):
    """The uploaded file does not match the announcement, so it was deleted."""

    status = 422
    hint = "Announce the file again, with its real size and type, and send it once more."


class NotArrived(UploadRefused):
    """The file has not arrived."""

    hint = "PUT it to the address first, then complete the upload."


class BadTicket(BadRequest):
    """This ticket belongs to another upload."""

    hint = "Send the `ticket` that was returned with the URL."


@dataclass(frozen=True, slots=True)
class DirectUpload:
    """Leave to store one file. The signature is in the address: a secret."""

    key: str
    put: PresignedUpload
    expires: datetime
    ticket: str


async def announce(
    storage: Storage,
    settings: Settings,
    engine: AsyncEngine,
    account: uuid.UUID,
    *,
    name: str,
    size: int,
    content_type: str = "",
    prefix: str = DEFAULT_PREFIX,
    clock: Clock = SYSTEM_CLOCK,
) -> DirectUpload:
    """Agree on one file: its new key, and the address to PUT it to.

    Parameters
    ----------
    account: who announces it; what one account may have announced is limited.
    name: the file's name at the user's; of it only the extension is used, and only when `content_type` says nothing.
    prefix: the folder of the new key, of lower-case letters, digits, `-`, `_` and `/`.

    Raises
    ------
    NoDirectTransfer, QuotaExceeded, TypeNotTaken, TooManyAnnounced, StorageUnavailable; BadRequest for a prefix or a
    size that cannot be.
    """
    if not _PREFIX.fullmatch(prefix):
        raise BadRequest("The prefix may have lower-case letters, digits, `-` and `_`, and `/` between its parts.")
    if is_reserved(prefix):
        raise BadRequest(f"The prefix {RESERVED} is for backups of the database.", hint="Choose another one.")
    if not 0 < size <= MAX_SIZE:
        raise BadRequest(f"A file of {size:,} bytes cannot be sent in one go.", hint="At most 5 GiB can.")
    kind = content_type.partition(";")[0].strip().lower()
    if kind in ("", DEFAULT_CONTENT_TYPE):
        kind = content_type_of(name).partition(";")[0]
    extension = extension_of(kind)
    if extension is None:
        raise TypeNotTaken
    key = new_key(prefix, extension)
    put = await storage.presigned_put(
        announced.staged(key), size=size, content_type=content_type_of(key), expires=LIFETIME
    )
    now, limits = clock.now(), Limits(settings.direct_uploads_max, settings.direct_uploads_max_mb * MB)
    async with engine.begin() as connection:
        await connection.run_sync(announced.announce, key, now, account=account, size=size, limits=limits)
    return DirectUpload(key, put, now + LIFETIME, _tickets(settings).dumps([key, size, int(now.timestamp())]))


async def complete(
    storage: Storage, settings: Settings, engine: AsyncEngine, *, key: str, ticket: str, clock: Clock = SYSTEM_CLOCK
) -> StoredFile:
    """Check what has arrived, and copy it to its key. It is deleted if it is not what was announced. May be repeated.

    Raises
    ------
    UploadRefused: also when nothing has arrived. BadTicket, BeingCompleted, SourceChanged, StorageUnavailable.
    """
    size, at = _agreed(settings, key, ticket, clock)
    lease = await run(engine, announced.begin, key, clock.now())
    if lease is None:
        try:
            async with deadlines.within(deadlines.UPLOAD):
                return await storage.durable.head(key)  # it is complete, and the answer got lost
        except FileMissing:
            raise UploadRefused("There is no such upload any more.", hint="Announce the file again.") from None
    due = at + announced.ABANDONED_AFTER
    try:
        async with deadlines.within(deadlines.UPLOAD + size / deadlines.COPY_SPEED):
            file = await _take_over(storage, key, size)
        await run(engine, announced.finish, key, lease)
    except (FastOppError, asyncio.CancelledError) as error:
        if isinstance(error, UploadRefused) and not isinstance(error, NotArrived):
            due = at + LIFETIME  # it counts no longer than its address holds
        with shielded():
            await run(engine, announced.release, key, lease, due)
        raise
    try:
        async with deadlines.within(deadlines.REMOVAL):
            await storage.delete(announced.staged(key))
    except FastOppError:
        logger.warning("%s could not be removed, a sweep will", announced.staged(key), exc_info=True)
    return file


async def _take_over(storage: Storage, key: str, size: int) -> StoredFile:
    """Check the staged file and copy it to its key. Raises UploadRefused, and then neither is there."""
    origin = storage.durable
    source, kind = announced.staged(key), content_type_of(key)
    try:
        file = await origin.head(source)
        if not await _is_good(origin, file, size, kind):
            await storage.delete(source)
            raise UploadRefused
        copied = await origin.copy(source, key, etag=file.etag)
    except FileMissing:
        raise NotArrived from None
    # A service may ignore the condition, and the staged file may have been another one while its type was read.
    if not await _is_good(origin, copied, size, kind):
        await storage.delete(key)
        await storage.delete(source)
        raise UploadRefused
    return copied


async def _is_good(storage: Storage, file: StoredFile, size: int, kind: str) -> bool:
    """Return whether a file has the size and the type that were announced."""
    if file.size != size:
        return False
    async with aclosing(storage.stream(file.key, end=HEAD_BYTES)) as pieces:
        return is_of_type(b"".join([piece async for piece in pieces]), kind)


def _agreed(settings: Settings, key: str, ticket: str, clock: Clock) -> tuple[int, datetime]:
    """The size, and when it was announced."""
    try:
        agreed, size, at = _tickets(settings).loads(ticket)
    except (BadData, ValueError, TypeError):
        raise BadTicket from None
    if agreed != key:
        raise BadTicket
    announced_at = datetime.fromtimestamp(at, UTC)
    if clock.now() - announced_at > announced.COMPLETE_WITHIN:
        raise UploadRefused("The upload was announced more than a day ago.", hint="Announce the file again.")
    return int(size), announced_at


def _tickets(settings: Settings) -> URLSafeSerializer:
    keys = settings.signing_keys
    return URLSafeSerializer(keys, salt="direct upload", signer_kwargs={"digest_method": hashlib.sha256})
