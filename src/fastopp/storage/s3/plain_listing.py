"""The listing of a bucket as the server reports it, for names that obstore refuses.

obstore takes names for paths: one object called `../x` or `a//b`, which any other program may have made, and it
refuses the whole page. Where that happens the rest is asked for by these few lines, and such names are separated.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from xml.etree import ElementTree as ET

from fastopp.storage.base import StorageUnavailable, StoredFile
from fastopp.storage.keys import content_type_of
from fastopp.storage.s3.errors import explained
from fastopp.storage.s3.signed_requests import send_signed

ATTEMPTS = 5
PAUSE = 0.2  # seconds before the second attempt; each later one waits twice as long

_BAD = re.compile(r"(^|/)(\.{0,2})(/|$)|[\x00-\x1f\x7f]")

Sign = Callable[[dict[str, str]], str]
"""Makes a signed address of the bucket from the parameters of its query."""


@dataclass(slots=True)
class Page:
    """Some of the objects of a bucket."""

    files: list[StoredFile] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Names that are no paths."""
    goes_on_with: str = ""
    """The token that requests the next page; empty on the last one."""


async def plain_pages(bucket: str, sign: Sign, folder: str, after: str, silence: float) -> AsyncGenerator[Page]:
    """The objects below a folder that come after a name.

    Parameters
    ----------
    bucket: its name, for messages.
    silence: seconds that the server may be silent.

    Raises
    ------
    What `explained` does.
    """
    query = {"list-type": "2", "max-keys": "1000", "prefix": f"{folder}/" if folder else "", "start-after": after}

    async def ask() -> str:
        address = sign({name: value for name, value in query.items() if value})
        answer = await send_signed("GET", address, silence=silence)
        if answer.status_code != HTTPStatus.OK:
            raise OSError(f"status code: {answer.status_code} {answer.text}")
        return answer.text

    while True:
        page = parsed(bucket, await _patiently(bucket, ask))
        yield page
        if not page.goes_on_with:
            return
        query["continuation-token"] = page.goes_on_with


async def _patiently(bucket: str, ask: Callable[[], Awaitable[str]]) -> str:
    for attempt in range(1, ATTEMPTS):
        try:
            with explained(bucket):
                return await ask()
        except StorageUnavailable:
            await asyncio.sleep(PAUSE * 2**attempt)
    with explained(bucket):
        return await ask()


def parsed(bucket: str, text: str) -> Page:
    """A page from the answer's XML: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html

    Raises StorageUnavailable for an answer that is none.
    """
    page = Page()
    try:
        root = ET.fromstring(text)  # noqa: S314 - expat has its own limits against entities that explode
        for entry in root.iterfind("{*}Contents"):
            name, size = _text(entry, "Key"), int(_text(entry, "Size"))
            if not _BAD.search(name):
                modified = datetime.fromisoformat(_text(entry, "LastModified")).replace(microsecond=0)
                etag = _text(entry, "ETag").strip('"')
                page.files.append(StoredFile(name, size, f'"{etag}"', content_type_of(name), modified))
            elif size or not name.endswith("/"):  # an empty `photos/` is how consoles make a folder
                page.refused.append(name)
    except (ET.ParseError, ValueError) as error:
        raise StorageUnavailable(f"The Object Storage's listing of “{bucket}” cannot be read.") from error
    if _text(root, "IsTruncated") == "true":
        page.goes_on_with = _text(root, "NextContinuationToken")
    return page


def _text(entry: ET.Element, name: str) -> str:
    return entry.findtext(f"{{*}}{name}") or ""
