"""Map keys to names in a bucket: the only module that knows FastOpp's layouts, this one and the older ones.

A file's object has the file's key for its name, behind the storage's own prefix if it has one. What FastOpp's
fork backed up is under `uploads/` instead: it is found there too, and never written there. A key that begins
with `uploads/` itself gets one more, so that no object stands for two files.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from fastopp.storage.keys import MAX_KEY_BYTES, is_key

LEGACY = "uploads/"

_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")


class ObjectNames:
    """The names of the objects of one storage.

    Parameters
    ----------
    prefix: what all names begin with, like `staging/`; empty for none.
    """

    def __init__(self, prefix: str = "") -> None:
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def name(self, key: str) -> str:
        """The object that a file is written to."""
        return f"{self.prefix}{LEGACY if key.startswith(LEGACY) else ''}{key}"

    def names(self, key: str) -> tuple[str, ...]:
        """The objects in which a file may be found, the likeliest first."""
        legacy = f"{self.prefix}{LEGACY}{key}"
        if key.startswith(LEGACY) or len(legacy.encode()) > MAX_KEY_BYTES:
            return (self.name(key),)
        return (self.name(key), legacy)

    def folders(self, folder: str) -> tuple[str, ...]:
        """Return where the objects of a folder's files may be; the empty folder is all of the storage."""
        if not folder:
            return (self.prefix.rstrip("/"),)
        return tuple(name.rstrip("/") for name in self.names(f"{folder}/"))

    def key(self, name: str) -> tuple[str, bool] | None:
        """Return the file's key, and whether it is in the legacy place; None if it is not a file of FastOpp's."""
        if not name.startswith(self.prefix):
            return None
        key = name.removeprefix(self.prefix)
        legacy = key.startswith(LEGACY)
        key = key.removeprefix(LEGACY)
        return (key, legacy and not key.startswith(LEGACY)) if is_key(key) else None


def may_be_encoded(name: str) -> bool:
    """Return whether a name in a listing could be percent-encoded: servers that encode leave no slash as it is."""
    return "/" not in name and _ESCAPE.search(name) is not None


def decoded(name: str) -> str:
    """The name behind a percent-encoded one, as S3 encodes them: a space is a plus."""
    return unquote_plus(name)
