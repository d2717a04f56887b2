"""Keys: the names of uploaded files, and the URLs they are served at."""

from __future__ import annotations

import re
import secrets
from urllib.parse import quote, unquote, urlsplit

from fastopp.storage.errors import InvalidKey

UPLOADS_URL = "/static/uploads/"
RESERVED = "backups"
"""The folder of the Object Storage that holds no uploads: backups of the database, incomplete uploads, static files.

No route serves it, no backup of files copies it, and no upload may go there under its own name.
"""
STAGING = f"{RESERVED}/staging/"
"""Before the final key of a direct upload: where it is until it has been checked."""
PUBLISHED = f"{RESERVED}/static"
"""The static files that browsers load from the CDN, in one folder for each state of them."""

MAX_KEY_BYTES = 1024  # S3's limit, https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html

# Leading dots keep `.` and `..` out, and hide what is not an upload: temporary files, `.gitkeep`.
# Control characters and backslashes mean something else to some system or other.
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]|^/|/$|//|(?:^|/)\.")

# 128 random bits in a file's name: our keys, and the UUIDs of FastOpp 0.4.8.
_RANDOM = re.compile(r"(?:^|/)(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=[._])[^/]*$")

_EXTENSION = re.compile(r"[a-z0-9]{1,8}")

# What browsers show safely. All else is a download, regardless of the machine's own table.
_CONTENT_TYPES = {
    "avif": "image/avif",
    "gif": "image/gif",
    "jpg": "image/jpeg",  # before the longer one, for `extension_of`
    "jpeg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "mp4": "video/mp4",
    "pdf": "application/pdf",
    "txt": "text/plain; charset=utf-8",
    "zip": "application/zip",
}
DEFAULT_CONTENT_TYPE = "application/octet-stream"


def check_key(key: str) -> str:
    """Return the key if it is one, else raise InvalidKey.

    A key is one or more names joined by `/`, relative, at most 1,024 bytes of UTF-8. A name begins with
    no dot and holds neither a backslash nor a control character. A key is never percent-decoded: `%2f` in
    one is three ordinary characters.
    """
    try:
        size = len(key.encode())
    except UnicodeEncodeError:  # half a surrogate pair: bytes that are not UTF-8
        raise InvalidKey from None
    if not 0 < size <= MAX_KEY_BYTES or _FORBIDDEN.search(key):
        raise InvalidKey
    return key


def is_key(text: str) -> bool:
    """Return whether `check_key` would let it pass."""
    try:
        check_key(text)
    except InvalidKey:
        return False
    return True


def folder_of(prefix: str) -> str:
    """Return the folder of every key that begins with a prefix; empty for none. Raises InvalidKey."""
    folder = prefix.rpartition("/")[0]
    return check_key(folder) if folder or prefix.startswith("/") else ""


def is_reserved(key: str) -> bool:
    """Return whether the key is of no upload."""
    return key.partition("/")[0].lower() == RESERVED  # some disks ignore case


def new_key(prefix: str, extension: str) -> str:
    """Return a unique key that cannot be guessed: `<prefix>/<32 hex>.<extension>`."""
    if not _EXTENSION.fullmatch(extension):
        raise InvalidKey(f"“{extension}” is not a file extension.")
    return check_key(f"{prefix}/{secrets.token_hex(16)}.{extension}")


def is_random_key(key: str) -> bool:
    """Return whether the name is random, so that it will never stand for another content."""
    return _RANDOM.search(key) is not None


def content_type_of(key: str) -> str:
    """The content type that the key's extension says, `application/octet-stream` where none is safe."""
    return _CONTENT_TYPES.get(key.rpartition(".")[2].lower(), DEFAULT_CONTENT_TYPE)


def extension_of(content_type: str) -> str | None:
    """The extension that `content_type_of` reads as this content type; None where none is safe."""
    return next((name for name, known in _CONTENT_TYPES.items() if known.partition(";")[0] == content_type), None)


def url_of(key: str) -> str:
    """The path at which this application serves the file, quoted."""
    return UPLOADS_URL + quote(check_key(key))


def key_from_url(url: str | None) -> str | None:
    """The key of a file that this application serves; None for any other address, or none.

    Takes what tables hold: `/static/uploads/photos/<file>`, FastOpp 0.4.8's rows included.
    """
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    if parts.scheme or parts.netloc or not parts.path.startswith(UPLOADS_URL):
        return None
    key = unquote(parts.path.removeprefix(UPLOADS_URL))
    return key if is_key(key) else None
