"""Store the static files in the bucket, as one set, and see whether browsers can load all of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import mimetypes
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from fastopp.errors import Conflict, Unavailable
from fastopp.platforms.detection import detect_platform
from fastopp.settings import Settings
from fastopp.settings.loading import from_variables
from fastopp.storage.keys import PUBLISHED
from fastopp.storage.s3.bucket import Bucket
from fastopp.storage.s3.client import Patience
from fastopp.storage.select import NoObjectStorage, open_object_storage
from fastopp.storage.stored_file import StoredFile
from fastopp.web.published import MANIFEST, PublishedSet, find_static_files, hash_files, set_id
from fastopp.web.statics import FOR_EVER

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

AT_ONCE: Final = 8  # files in flight
KEPT: Final = 3  # sets: of this release, of the one before while both run, and of one to roll back to
ABANDONED_AFTER: Final = timedelta(days=1)  # an upload that is not whole by then never will be
SECONDS: Final = 20.0  # for an answer of the CDN
TEXT: Final = ("text/", "application/javascript", "application/json", "image/svg+xml")


class NoCDN(Conflict):
    """STATIC_CDN_URL is not set."""

    hint = "Set it to the public URL of the bucket, including its name."


class NotPublished(Unavailable):
    """The CDN does not have all static files of this release."""

    hint = "Run `python oppman.py static upload`. A CDN may take a minute until it knows new files."


@dataclass(frozen=True, slots=True)
class StaticSet:
    """The static files of a project."""

    files: Mapping[str, Path]
    hashes: Mapping[str, str]

    @classmethod
    def read(cls, folders: Iterable[Path]) -> StaticSet:
        """Find and read all of them. Blocks."""
        files = find_static_files(folders)
        return cls(files, hash_files(files))

    def published_at(self, cdn: str) -> PublishedSet:
        """Its place at a CDN."""
        return PublishedSet(cdn.rstrip("/"), set_id(self.hashes), frozenset(self.files))


def static_settings(variables: Mapping[str, str]) -> Settings:
    """Return the settings of the bucket and the CDN. The others may be missing, as in a build. Raises SettingsError."""
    ours = {name: value for name, value in variables.items() if name.upper().startswith(("S3_", "STATIC_"))}
    platform = replace(detect_platform(variables), requires_database_url=False)
    return from_variables(ours | {"ENVIRONMENT": "development"}, platform)


async def upload(static: StaticSet, settings: Settings, *, keep: int = KEPT) -> tuple[PublishedSet, int]:
    """Store a set in the bucket unless it is there, and delete all but the newest ones.

    Return the set and the number of files that were sent. Raises NoCDN, NoObjectStorage, StorageUnavailable and others.
    """
    published = static.published_at(_cdn_of(settings))
    if not settings.has_object_storage:
        raise NoObjectStorage
    storage = open_object_storage(settings)
    folder = f"{PUBLISHED}/{published.id}"
    sent = 0
    try:
        sets = await _find_sets(storage.list(f"{PUBLISHED}/"))
        if not sets.get(published.id, _Found()).whole:
            bucket = _bucket_of(settings)
            await _all_of(static.files, lambda path: _send(bucket, f"{folder}/{path}", static.files[path]))
            manifest = json.dumps({"files": dict(static.hashes)}).encode()
            await bucket.put(f"{folder}/{MANIFEST}", manifest, "application/json", FOR_EVER)
            sent = len(static.files)
        for name in _superfluous(sets, published.id, keep):
            await _all_of(sorted(sets[name].keys, key=lambda key: not key.endswith(f"/{MANIFEST}")), storage.delete)
    finally:
        await storage.aclose()
    return published, sent


async def verify(static: StaticSet, settings: Settings) -> PublishedSet:
    """Load each file of a set as a browser would. Raises NotPublished, NoCDN."""
    import httpx  # noqa: PLC0415 - only for this

    published = static.published_at(_cdn_of(settings))
    async with httpx.AsyncClient(timeout=SECONDS, follow_redirects=True) as client:
        said = await _all_of(static.files, lambda path: _wrong(client, published, static, path))
    if wrong := [each for each in said if each]:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise NotPublished(f"The CDN does not have all static files of this release: {wrong[0]}{more}.")
    return published


async def allows_fonts(published: PublishedSet, font: str, site: str) -> bool:
    """Return whether the CDN lets pages of a site use a font: browsers demand it of fonts, not of scripts (CORS)."""
    import httpx  # noqa: PLC0415 - only for this

    async with httpx.AsyncClient(timeout=SECONDS, follow_redirects=True) as client:
        answer = await client.get(published.address + font, headers={"Origin": site})
    return answer.headers.get("access-control-allow-origin") in ("*", site)


@dataclass(slots=True)
class _Found:
    """A set in the bucket."""

    keys: list[str]
    newest: datetime
    whole: bool

    def __init__(self) -> None:
        self.keys, self.newest, self.whole = [], datetime.min.replace(tzinfo=UTC), False


async def _find_sets(files: AsyncIterable[StoredFile]) -> dict[str, _Found]:
    sets: dict[str, _Found] = {}
    async for file in files:
        name, _, path = file.key.removeprefix(f"{PUBLISHED}/").partition("/")
        found = sets.setdefault(name, _Found())
        found.keys.append(file.key)
        found.newest = max(found.newest, file.modified)
        found.whole = found.whole or path == MANIFEST
    return sets


def _superfluous(sets: Mapping[str, _Found], current: str, keep: int) -> list[str]:
    others = sorted((name for name in sets if name != current), key=lambda name: sets[name].newest, reverse=True)
    whole = [name for name in others if sets[name].whole]
    abandoned = datetime.now(UTC) - ABANDONED_AFTER
    return whole[max(keep - 1, 0) :] + [n for n in others if not sets[n].whole and sets[n].newest < abandoned]


async def _send(bucket: Bucket, name: str, file: Path) -> None:
    await bucket.put(name, await asyncio.to_thread(file.read_bytes), content_type_of(file.name), FOR_EVER)


def content_type_of(name: str) -> str:
    """Return the content type that this site's /static has for a file, too."""
    kind = mimetypes.guess_type(name)[0] or "text/plain"
    return f"{kind}; charset=utf-8" if kind.startswith(TEXT) else kind


async def _wrong(client: httpx.AsyncClient, published: PublishedSet, static: StaticSet, path: str) -> str:
    import httpx  # noqa: PLC0415 - as above

    try:
        answer = await client.get(published.url(path) or "")
    except httpx.HTTPError as error:
        return f"{path} ({type(error).__name__})"
    if answer.status_code != HTTPStatus.OK:
        return f"{path} ({answer.status_code})"
    if hashlib.sha256(answer.content).hexdigest() != static.hashes[path]:
        return f"{path} (other content)"
    expected, found = content_type_of(path).partition(";")[0], answer.headers.get("content-type", "").partition(";")[0]
    # A browser refuses scripts and style sheets of another type: `nosniff` is not needed for that.
    same = {expected, found} <= {"text/javascript", "application/javascript"} or expected == found
    return "" if same or not path.endswith((".css", ".js", ".mjs")) else f"{path} (sent as {found or 'nothing'})"


async def _all_of(names: Iterable[str], work: Callable[[str], Awaitable[T]]) -> list[T]:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> T:
        async with limit:
            return await work(name)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(name)) for name in names]
    return [task.result() for task in tasks]


def _cdn_of(settings: Settings) -> str:
    if not settings.static_cdn_url:
        raise NoCDN
    return settings.static_cdn_url


def _bucket_of(settings: Settings) -> Bucket:
    return Bucket(
        settings.s3_bucket,
        settings.s3_endpoint,
        settings.s3_region,
        access_key=settings.s3_access_key.get_secret_value(),
        secret_key=settings.s3_secret_key.get_secret_value(),
        patience=Patience(),
    )
