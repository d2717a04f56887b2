"""Compiled templates, kept beside their sources as Python keeps its byte code.

Compiling the base layout and the components takes 70 ms of a whole core, which a cold start on a small share of
one would feel. The deployment's build step fills the cache (`Templates.compile_all`); where the folder cannot be
written, nothing is lost but the time.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class TemplateCache(BytecodeCache):
    """One file a template in `folder`. Jinja keeps the source's checksum in it and compiles again when it differs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill `bucket` if its template was compiled before."""
        with contextlib.suppress(OSError), self._file(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled; whole or not at all, as several processes may do so at once."""
        target = self._file(bucket)
        temporary = target.with_suffix(f".{secrets.token_hex(4)}")
        with contextlib.suppress(OSError):
            self.folder.mkdir(exist_ok=True)
            with temporary.open("wb") as file:
                bucket.write_bytecode(file)
            temporary.replace(target)

    def _file(self, bucket: Bucket) -> Path:
        return self.folder / f"{bucket.key}.jinja"
