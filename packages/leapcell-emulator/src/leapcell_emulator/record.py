"""The emulator's record of a run: one JSON line for each request, and for each start and end of an instance.

`leapcell cost` and `leapcell capacity` read it. Lines have a `kind`:

- `request`: `start` and `end` (Unix time), `queue` (seconds before an instance took it), `cold` (whether that included
  a start), `frozen` (seconds that the instance had been stopped before), `processor` (seconds, null where unknown),
  `memory` (bytes of the instance after it), `method`, `path` (without the query, which may hold secrets), `status`,
  `bytes_in`, `bytes_out`, `instance`, `rule`;
- `start`: `instance`, `start`, `end`, `processor` (seconds that the start took), `memory_limit` (MB), `cpu_limited`;
- `end`: `instance`, `end`, `served`, `busy` (seconds with a request in flight), `processor` (of its whole life).
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from leapcell_emulator.errors import EmulatorError


class RecordFailed(EmulatorError):
    """The record cannot be written."""


class Record:
    """Writes the lines of a run to a file, which is replaced at the start."""

    def __init__(self, path: Path) -> None:
        """Open the file. Raises `RecordFailed`."""
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise RecordFailed(f"{path} cannot be written: {error.strerror}.") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, kind: str, **values: Any) -> None:  # noqa: ANN401 - what JSON can hold
        """Add a line. Times are rounded to a tenth of a millisecond."""
        rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in values.items()}
        self._file.write(json.dumps({"kind": kind, **rounded}, separators=(",", ":")) + "\n")
