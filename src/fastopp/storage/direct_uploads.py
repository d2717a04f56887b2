"""Uploads that go from the browser straight into the Object Storage, since they are too large for the platform.

The address given out is signed for one new key, one size and one content type, and the server refuses anything
else. What cannot be signed beforehand, what the bytes are, is looked at when the browser says that it is done; until
then nothing names the file. A ticket, signed too, brings back what was agreed on, so nothing has to be remembered.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from itsdangerous import BadData, URLSafeSerializer

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.errors import BadRequest, FastOppError
from fastopp.settings import Settings
from fastopp.storage import announced
from fastopp.storage.base import FileMissing, PresignedUpload, PresigningStorage, Storage, StoredFile
from fastopp.storage.file_types import HEAD_BYTES, is_of_type
from fastopp.storage.keys import DEFAULT_CONTENT_TYPE, content_type_of, extension_of, new_key
from fastopp.storage.sync.folder import RESERVED
from fastopp.storage.tiered import NoDirectTransfer

MAX_SIZE = 5 * 1024**3  # bytes: the most that S3 takes in one request
LIFETIME = timedelta(minutes=15)  # of the permission to begin; a transfer that has begun goes on
DEFAULT_PREFIX = "files"

_PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}(/[a-z0-9][a-z0-9_-]{0,63}){0,3}")


class TypeNotTaken(FastOppError):
    """Files of this type are not taken."""

    status = 415
    hint = "Send a picture (JPEG, PNG, WebP, GIF, AVIF), PDF, MP4, ZIP, CSV, JSON or plain text."


class UploadRefused(FastOppError):
    """What arrived is not what was announced, so it was deleted."""

    status = 422
    hint = "Announce the file again, with its real size and type, and send it once more."


class BadTicket(BadRequest):
    """This ticket is not of this upload."""

    hint = "Send the `ticket` that came with the address."


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
    name: the file's name at the user's; of it only the extension is used, and only when `content_type` says nothing.
    prefix: the folder of the new key, of lower-case letters, digits, `-`, `_` and `/`.

    Raises
    ------
    NoDirectTransfer, QuotaExceeded, TypeNotTaken, StorageUnavailable; BadRequest for a prefix or a size that cannot be.
    """
    if not isinstance(storage, PresigningStorage):
        raise NoDirectTransfer
    if not _PREFIX.fullmatch(prefix):
        raise BadRequest("The prefix may have lower-case letters, digits, `-` and `_`, and `/` between its parts.")
    if prefix.partition("/")[0] == RESERVED:
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
    put = await storage.presigned_put(key, size=size, content_type=content_type_of(key), expires=LIFETIME)
    await announced.note(storage, key)
    now = clock.now()
    return DirectUpload(key, put, now + LIFETIME, _tickets(settings).dumps([key, size, int(now.timestamp())]))


async def complete(
    storage: Storage, settings: Settings, *, key: str, ticket: str, clock: Clock = SYSTEM_CLOCK
) -> StoredFile:
    """Look at what has arrived; it is deleted if it is not what was announced. May be called again.

    Raises
    ------
    UploadRefused: also when nothing has arrived. BadTicket.
    """
    size = _agreed_size(settings, key, ticket, clock)
    durable = announced.durable(storage)
    try:
        file = await durable.head(key)
        head = b""
        if file.size == size:
            async with aclosing(durable.stream(key, end=HEAD_BYTES)) as pieces:
                head = b"".join([piece async for piece in pieces])
    except FileMissing:
        raise UploadRefused("The file has not arrived.", hint="PUT it to the address first, then say so.") from None
    good = file.size == size and is_of_type(head, content_type_of(key))
    if not good:
        await storage.delete(key)
    await announced.forget(storage, key)
    if not good:
        raise UploadRefused
    return file


def _agreed_size(settings: Settings, key: str, ticket: str, clock: Clock) -> int:
    try:
        agreed, size, at = _tickets(settings).loads(ticket)
    except (BadData, ValueError, TypeError):
        raise BadTicket from None
    if agreed != key:
        raise BadTicket
    if clock.now() - datetime.fromtimestamp(at, UTC) > announced.COMPLETE_WITHIN:
        raise UploadRefused("The upload was announced more than a day ago.", hint="Announce the file again.")
    return int(size)


def _tickets(settings: Settings) -> URLSafeSerializer:
    secret = settings.secret_key.get_secret_value()
    return URLSafeSerializer(secret, salt="direct upload", signer_kwargs={"digest_method": hashlib.sha256})
