"""Detect a file's type by its first bytes: whether they match the claimed content type."""

from __future__ import annotations

from fastopp.storage.keys import DEFAULT_CONTENT_TYPE

HEAD_BYTES = 4096
"""The number of bytes at the beginning that are examined."""

# Offsets and bytes that a file of the type has, of each group one. Sources: the formats' own specifications, as
# https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern and 6.2 there collect them.
_SIGNATURES: dict[str, tuple[tuple[tuple[int, bytes], ...], ...]] = {
    "image/avif": (((4, b"ftypavif"),), ((4, b"ftypavis"),), ((4, b"ftypmif1"),)),
    "image/gif": (((0, b"GIF87a"),), ((0, b"GIF89a"),)),
    "image/jpeg": (((0, b"\xff\xd8\xff"),),),
    "image/png": (((0, b"\x89PNG\r\n\x1a\n"),),),
    "image/webp": (((0, b"RIFF"), (8, b"WEBPVP")),),
    "video/mp4": (((4, b"ftyp"),),),
    "application/pdf": (((0, b"%PDF-"),),),
    "application/zip": (((0, b"PK\x03\x04"),), ((0, b"PK\x05\x06"),)),
}
_TEXTS = frozenset({"text/csv", "text/plain", "application/json"})
_JSON_BEGINS = tuple(b'{["-0123456789tfn')


def is_of_type(head: bytes, content_type: str) -> bool:
    """Return whether a file that begins with `head` (up to HEAD_BYTES of it) can be of a content type.

    Anything can be `application/octet-stream`; nothing is of a type that is not known here.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == DEFAULT_CONTENT_TYPE:
        return True
    if kind in _TEXTS:
        return _is_text(head) and (kind != "application/json" or head.lstrip()[:1] in map(_byte, _JSON_BEGINS))
    return any(all(head.startswith(part, at) for at, part in parts) for parts in _SIGNATURES.get(kind, ()))


def _byte(number: int) -> bytes:
    return bytes([number])


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if len(head) < HEAD_BYTES or error.start < len(head) - 3:  # else a character may have been cut in two
            return False
    return b"\0" not in head
