"""Backups of the database among the objects of a bucket: which there are, and which go.

They are encrypted, since a bucket may be readable by anyone who knows the URL.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta

from fastopp.features.database_backups.dump.backup_file import ENCRYPTED_SUFFIX, time_stamp
from fastopp.storage.base import FileMissing, Storage, StoredFile
from fastopp.storage.keys import RESERVED

FOLDER = f"{RESERVED}/"
FETCHED_WITHIN = timedelta(minutes=5)

# As `new_key` makes them. Users' own copies, under other names, are listed and never removed.
_OURS = re.compile(rf"{FOLDER}\d{{8}}_\d{{6}}_\d{{6}}-[0-9a-f]{{32}}{re.escape(ENCRYPTED_SUFFIX)}")


class NoSuchBackup(FileMissing):
    """The Object Storage has no such backup of the database."""

    hint = "`oppman.py db backups` lists them."


def new_key() -> str:
    """Return a new key for a backup, which cannot be guessed."""
    return f"{FOLDER}{time_stamp()}-{secrets.token_hex(16)}{ENCRYPTED_SUFFIX}"


def is_backup(key: str) -> bool:
    """Return whether a key is that of a backup, ours or a user's copy."""
    return key.startswith(FOLDER) and key.endswith(ENCRYPTED_SUFFIX)


async def backup_address(storage: Storage, key: str) -> str:
    """Return an address at which one backup can be fetched for a few minutes. Raises NoSuchBackup."""
    if not is_backup(key):
        raise NoSuchBackup
    try:
        await storage.head(key)
    except FileMissing:
        raise NoSuchBackup from None
    return await storage.presigned_get(key, expires=FETCHED_WITHIN)


async def stored_backups(storage: Storage) -> list[StoredFile]:
    """The backups in a bucket, newest first; their names contain the time."""
    return sorted(
        [file async for file in storage.list(FOLDER) if is_backup(file.key)], key=lambda file: file.key, reverse=True
    )


async def surplus_backups(storage: Storage, keep: int) -> list[str]:
    """The keys of all backups but the newest `keep`, which is at least 1."""
    ours = [file.key for file in await stored_backups(storage) if _OURS.fullmatch(file.key)]
    return ours[max(1, keep) :]


async def prune_backups(storage: Storage, keep: int) -> list[str]:
    """Remove all backups but the newest `keep`: the keys of those that went."""
    surplus = await surplus_backups(storage, keep)
    for key in surplus:
        await storage.delete(key)
    return surplus
