"""Checksums as S3 reports them: the meaning of an object's ETag."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

PART_SIZE = 8 * 1024 * 1024
"""Bytes a part of a multipart upload has, the last one excepted. aws-cli's, so that its ETags equal ours."""

_MD5 = re.compile(r"[0-9a-f]{32}")
_MULTIPART = re.compile(r"[0-9a-f]{32}-[0-9]+")


class ContentDigest:
    """The checksums of a content, from its pieces in order.

    S3's ETag is the MD5 of a content that was sent in one piece, and for one sent in parts the MD5 of the
    parts' MD5s, a dash, and how many they are. MD5 finds damage; it does not keep out an attacker.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
    """

    def __init__(self, data: bytes | memoryview = b"") -> None:
        self.size = 0
        """Bytes so far."""
        self._whole = hashlib.md5(usedforsecurity=False)
        self._part = self._whole  # of the last part; the first is the whole so far
        self._parts: list[bytes] = []
        if data:
            self.update(data)

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next piece. Blocks: 1 ms for 500 KB."""
        rest = memoryview(piece)
        while rest:
            if self.size and self.size % PART_SIZE == 0:  # a part is full, and another one follows
                self._parts.append(self._part_digest())
                self._part = hashlib.md5(usedforsecurity=False)
            taken = rest[: PART_SIZE - self.size % PART_SIZE]
            self._whole.update(taken)
            if self._part is not self._whole:
                self._part.update(taken)
            self.size += len(taken)
            rest = rest[len(taken) :]

    def _part_digest(self) -> bytes:
        return self._part.digest()

    @property
    def md5(self) -> str:
        """The MD5 of the whole content, in hexadecimal."""
        return self._whole.hexdigest()

    def matches(self, etag: str) -> bool | None:
        """Return whether an ETag, with quotes or without, is this content's; None if that is unknown."""
        return etag_matches(etag, self.md5, lambda: self.of_parts)

    @property
    def of_parts(self) -> str:
        """The ETag of the content when it is sent in parts."""
        parts = [*self._parts, self._part_digest()]
        return f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def etag_matches(etag: str, md5: str, of_parts: Callable[[], str]) -> bool | None:
    """Return whether an ETag, with quotes or without, belongs to these checksums; None if that is unknown."""
    etag = etag.strip('"')
    if _MD5.fullmatch(etag):
        return etag == md5
    if _MULTIPART.fullmatch(etag) and etag == of_parts():
        return True
    return None  # parts of another size, or no MD5 at all
