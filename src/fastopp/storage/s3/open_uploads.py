"""Multipart uploads that were begun and neither completed nor aborted. Their parts take room, and no listing has them.

obstore can neither list nor abort what another process began, so these are two plain requests.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import datetime
from typing import NamedTuple
from xml.etree import ElementTree as ET

from fastopp.storage.base import StorageUnavailable
from fastopp.storage.keys import check_key
from fastopp.storage.s3.errors import explained
from fastopp.storage.s3.names import ObjectNames
from fastopp.storage.s3.signed_requests import send_signed

Sign = Callable[[str, str, dict[str, str]], str]
"""Makes a signed address from a method, an object's name (empty: the bucket) and the parameters of the query."""

_MISSING = 404
_UNSUPPORTED = (400, 405, 501)  # answers of servers that do not know the request


class OpenUpload(NamedTuple):
    """A multipart upload that is not complete."""

    name: str
    id: str
    initiated: datetime


class OpenUploads:
    """Lists and aborts the open uploads of a bucket.

    Parameters
    ----------
    silence: seconds that the server may be silent.
    """

    def __init__(self, bucket: str, names: ObjectNames, sign: Sign, silence: float) -> None:
        self._bucket, self._names, self._sign, self._silence = bucket, names, sign, silence

    async def list(self, key: str | None = None) -> AsyncGenerator[OpenUpload]:
        """Yield the open uploads of a file, or of all; none where the server does not know the request.

        Raises what `explained` does.
        """
        wanted = None if key is None else self._names.name(check_key(key))
        # Some servers list the uploads of one object only.
        async for upload in self._below(wanted or self._names.prefix):
            if wanted in (None, upload.name):
                yield upload

    async def abort(self, key: str | None = None, *, after: datetime | None = None, before: datetime) -> int:
        """Abort the uploads of a file, or of all, that were begun between two moments; return how many.

        Raises what `explained` does.
        """
        # Collected first: what is aborted meanwhile would move the pages of the list.
        found = [
            upload
            async for upload in self.list(key)
            if upload.initiated < before and (after is None or upload.initiated > after)
        ]
        for upload in found:
            await self._ask("DELETE", upload.name, {"uploadId": upload.id})
        return len(found)

    async def _below(self, prefix: str) -> AsyncGenerator[OpenUpload]:
        query = {"uploads": "", "prefix": prefix}
        while True:
            root = _parsed(self._bucket, await self._ask("GET", "", query))
            if root is None:
                return
            for entry in root.iterfind("{*}Upload"):
                initiated = datetime.fromisoformat(_text(entry, "Initiated"))
                yield OpenUpload(_text(entry, "Key"), _text(entry, "UploadId"), initiated)
            if _text(root, "IsTruncated") != "true":
                return
            query |= {
                "key-marker": _text(root, "NextKeyMarker"), "upload-id-marker": _text(root, "NextUploadIdMarker"),
            }  # fmt: skip

    async def _ask(self, method: str, name: str, query: dict[str, str]) -> str:
        address = self._sign(method, name, query)
        with explained(self._bucket):
            answer = await send_signed(method, address, silence=self._silence)
            if answer.is_success:
                return answer.text
            if answer.status_code == _MISSING or answer.status_code in _UNSUPPORTED:
                return ""
            raise OSError(f"status code: {answer.status_code} {answer.text}")


def _parsed(bucket: str, text: str) -> ET.Element | None:
    if not text:
        return None
    try:
        return ET.fromstring(text)  # noqa: S314 - expat has its own limits against entities that explode
    except ET.ParseError as error:
        raise StorageUnavailable(f"The Object Storage's list of uploads to “{bucket}” cannot be read.") from error


def _text(entry: ET.Element, name: str) -> str:
    return entry.findtext(f"{{*}}{name}") or ""
