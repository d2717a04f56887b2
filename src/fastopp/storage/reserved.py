"""The part of the Object Storage that holds no uploads: backups of the database, and uploads that are not complete.

No route serves it, no backup of files copies it, and no upload may go there under its own name.
"""

from __future__ import annotations

RESERVED = "backups"
STAGING = f"{RESERVED}/staging/"
"""Before the final key of a direct upload: where it is until it has been checked."""


def is_reserved(key: str) -> bool:
    """Whether the key is of no upload."""
    return key.partition("/")[0].lower() == RESERVED  # some disks ignore case
