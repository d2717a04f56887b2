"""The oddities of LeapCell's Object Storage that users have seen. No page of LeapCell's documents them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from urllib.parse import quote, unquote_plus

_CONTENTS = re.compile(rb"<Contents>.*</Contents>", re.DOTALL)
_COMMON_PREFIXES = re.compile(rb"<CommonPrefixes>.*</CommonPrefixes>", re.DOTALL)
_KEY = re.compile(rb"(?<=<Key>).*?(?=</Key>)")
_FOLDERS = re.compile(rb"<CommonPrefixes>.*?</CommonPrefixes>", re.DOTALL)
_PREFIX = re.compile(rb"(?<=<Prefix>).*?(?=</Prefix>)")
_ECHO = re.compile(rb"<EncodingType>.*?</EncodingType>")


def encode_keys(listing: bytes) -> bytes:
    """A listing whose keys are percent-encoded, slashes too, and which does not say so.

    boto3 asks for encoded keys and decodes them if the answer says that they are; here they stay `photos%2Fa.jpg`.
    """
    encoded = _ECHO.search(listing) is not None  # by rclone, which was asked to, and says so

    def encode(found: re.Match[bytes]) -> bytes:
        key = unescape(found[0].decode())
        return quote(unquote_plus(key) if encoded else key, safe="").encode()

    listing = _KEY.sub(encode, _ECHO.sub(b"", listing))
    return _FOLDERS.sub(lambda found: _PREFIX.sub(encode, found[0]), listing)


def empty(listing: bytes) -> bytes:
    """A listing in which nothing was found."""
    listing = _COMMON_PREFIXES.sub(b"", _CONTENTS.sub(b"", listing))
    listing = re.sub(rb"(?<=<KeyCount>)\d+", b"0", listing)
    listing = re.sub(rb"(?<=<IsTruncated>)true", b"false", listing)
    return re.sub(rb"<NextContinuationToken>.*?</NextContinuationToken>|<NextMarker>.*?</NextMarker>", b"", listing)


def is_deaf_to(query: Mapping[str, str]) -> bool:
    """Return whether a listing with these parameters finds nothing, since its prefix holds a slash, encoded or not."""
    prefix = query.get("prefix", "")
    return "/" in prefix or "%2f" in prefix.lower()
