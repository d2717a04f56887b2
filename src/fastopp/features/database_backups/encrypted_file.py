"""A local backup, encrypted before it leaves this machine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fastopp.features.database_backups.dump.backup_file import BackupNotRead
from fastopp.features.database_backups.dump.encryption import MAGIC, Encryptor
from fastopp.features.database_backups.dump.errors import BadDump
from fastopp.features.database_backups.dump.format import GZIP_MAGIC

_PIECE = 256 * 1024  # bytes


@contextmanager
def encrypted(dump: Path, key: Callable[[], str]) -> Iterator[Path]:
    """Yield the dump if it is encrypted, else an encrypted copy that is removed afterwards.

    `key` is asked for only if it is needed. Raises BackupNotRead, BadDump.
    """
    try:
        with dump.open("rb") as file:
            start = file.read(len(MAGIC))
        if start == MAGIC:
            yield dump
            return
        if not start.startswith(GZIP_MAGIC):
            raise BadDump
        with tempfile.TemporaryDirectory(prefix="fastopp-backup-") as folder:
            copy = Path(folder) / dump.name
            _encrypt(dump, copy, key())
            yield copy
    except OSError as error:
        raise BackupNotRead(f"{dump} cannot be read: {error.strerror}.") from error


def _encrypt(source: Path, target: Path, key: str) -> None:
    encryptor = Encryptor(key)
    with source.open("rb") as plain, target.open("wb") as sealed:
        while piece := plain.read(_PIECE):
            sealed.write(encryptor.update(piece))
        sealed.write(encryptor.finish())
