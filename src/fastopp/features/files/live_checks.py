"""Checks that use the Object Storage. What they write, they remove again."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

from fastopp.checks.check import Mode, Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.errors import FastOppError
from fastopp.storage.object import ObjectStorage
from fastopp.storage.s3.quota import WARN_AT
from fastopp.storage.select import open_object_storage

FOLDER = "checks"
CONTENT_TYPE = "text/plain"
CDN_TRIES = 3  # a second apart; a CDN may not know a new file at once
CDN_PATIENCE = 10.0  # seconds


@check(
    "fastopp.E210",
    "The Object Storage cannot be written or read",
    fix="Compare the S3_ variables with the dashboard. The application's log contains the server's response.",
    subject=Subject.STORAGE,
    mode=Mode.LIVE,
)
async def unusable(context: CheckContext) -> AsyncIterator[Problem]:
    """A small file is written, read back, compared and deleted."""
    storage = _storage(context)
    key, content = _probe()
    doing = "written"
    try:
        await storage.put(key, content, content_type=CONTENT_TYPE)
        doing = "read back"
        if await storage.get(key) != content:
            yield Problem("A file in the Object Storage has other content than was written.")
        doing = "deleted"
        await storage.delete(key)
    except FastOppError as error:
        yield Problem(f"A file could not be {doing}. {error.message}", error.hint)
        with suppress(FastOppError):
            await storage.delete(key)


@check(
    "fastopp.E211",
    "The CDN does not serve the bucket's files",
    fix="Copy S3_CDN_URL again: the public URL of the bucket, with the bucket's name as its path.",
    subject=Subject.STORAGE,
    mode=Mode.LIVE,
)
async def cdn(context: CheckContext) -> AsyncIterator[Problem]:
    """Pages load pictures from the CDN. A small file is written, fetched through the CDN, and deleted."""
    storage = _storage(context)
    if not storage.cdn_url:
        raise CannotCheck("S3_CDN_URL is not set.")
    key, content = _probe()
    await storage.put(key, content, content_type=CONTENT_TYPE)
    try:
        said = await _fetch(storage.url(key), content)
    finally:
        await storage.delete(key)
    if said:
        yield Problem(f"A new file could not be fetched through S3_CDN_URL: {said}")


@check(
    "fastopp.W212",
    "The Object Storage is nearly full",
    fix="Delete unused files, or use a bigger plan and set S3_QUOTA_MB and S3_QUOTA_FILES.",
    subject=Subject.STORAGE,
    mode=Mode.LIVE,
)
async def nearly_full(context: CheckContext) -> AsyncIterator[Problem]:
    """At the limit, uploads are answered with 507."""
    storage = _storage(context)
    if storage.quota is None:
        return
    usage = await storage.usage()
    share = storage.quota.share(usage)
    if share >= WARN_AT:
        held = f"{usage.files:,} files with {usage.size / 1e6:,.1f} MB"
        yield Problem(f"The Object Storage is {share:.0%} full: {held} of {storage.quota}.")


def _storage(context: CheckContext) -> ObjectStorage:
    if not context.settings.has_object_storage:
        raise CannotCheck("No Object Storage is set up.")
    return open_object_storage(context.settings)


def _probe() -> tuple[str, bytes]:
    name = secrets.token_hex(16)
    return f"{FOLDER}/{name}.txt", f"fastopp check {name}\n".encode()


async def _fetch(url: str, content: bytes) -> str:
    """Return the error of the file at an address, in words; empty when it is the right one."""
    import httpx  # noqa: PLC0415 - only for this check

    said = ""
    async with httpx.AsyncClient(timeout=CDN_PATIENCE, follow_redirects=True) as client:
        for attempt in range(CDN_TRIES):
            if attempt:
                await asyncio.sleep(1)
            try:
                answer = await client.get(url)
            except httpx.HTTPError as error:
                said = f"it does not answer ({type(error).__name__})."
                continue
            if answer.status_code == httpx.codes.OK:
                return "" if answer.content == content else "the content is different."
            said = f"it answers {answer.status_code}."
    return said
