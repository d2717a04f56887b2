"""A look into the bucket: its objects in the order of their keys, and the file of one."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from leapcell_emulator.errors import NotFound
from leapcell_emulator.rule import format_size
from leapcell_emulator.services.look import ROWS, Table


def look(folder: Path, after: int) -> Table:
    """Return objects after so many. Walks the folder: call it in a thread."""
    keys = sorted(
        os.path.relpath(os.path.join(parent, name), folder)  # noqa: PTH118 - thousands of files
        for parent, _, names in os.walk(folder)
        for name in names
    )
    table = Table(columns=["Key", "Size", "Written"], more=len(keys) > after + ROWS)
    for key in keys[after : after + ROWS]:
        try:
            found = (folder / key).stat()
        except OSError:  # deleted meanwhile
            continue
        table.rows.append(
            [
                key,
                format_size(found.st_size),
                datetime.fromtimestamp(found.st_mtime, UTC).isoformat(" ", timespec="seconds"),
            ]
        )
        table.downloads.append(key)
    return table


def find(folder: Path, key: str) -> Path:
    """Return the file of an object. Raises `NotFound`, also for what is outside of the bucket."""
    path = (folder / key).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise NotFound(f"There is no object {key}.")
    return path
