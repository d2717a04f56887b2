"""The files of a bucket, from listings that are not alike on every server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress

from fastopp.storage.base import FileMissing, StoredFile
from fastopp.storage.keys import content_type_of
from fastopp.storage.s3.bucket import Bucket
from fastopp.storage.s3.names import ObjectNames, decoded, may_be_encoded


class ObjectListing:
    """Lists one bucket, and remembers what it learns about its server."""

    def __init__(self, objects: Bucket, names: ObjectNames) -> None:
        self._objects = objects
        self._names = names
        self._lists_by_prefix = False  # known to, once a prefix has matched something
        self._encodes_names: bool | None = None  # not known yet

    async def below(
        self, place: str, prefix: str, refused: Callable[[str], None] | None = None
    ) -> AsyncGenerator[tuple[list[StoredFile], list[StoredFile]]]:
        """The files whose objects lie in a folder and whose keys begin so: of each page those in their place, and
        those in the legacy one.

        Parameters
        ----------
        refused: called with the names of objects that no file can have.
        """
        found = False
        for folder in dict.fromkeys((place, "")):
            if found or (not folder and place and self._lists_by_prefix):
                break  # some servers match no prefix with a slash: only where one might, ask for everything
            async for batch in self._objects.list(folder, refused):
                names = await self._decoded([file.key for file in batch])
                files: list[StoredFile] = []
                legacy: list[StoredFile] = []
                for name, file in zip(names, batch, strict=True):
                    if not name.startswith(f"{place}/" if place else ""):
                        continue
                    found = True
                    entry = self._names.key(name)
                    if entry is None and refused:
                        refused(name)
                    if entry and entry[0].startswith(prefix):
                        key, is_legacy = entry
                        if key != file.key:
                            file = file._replace(key=key, content_type=content_type_of(key))  # noqa: PLW2901 - the same one
                        (legacy if is_legacy else files).append(file)
                yield files, legacy
            self._lists_by_prefix |= bool(folder) and found

    async def _decoded(self, names: list[str]) -> list[str]:
        """The names of a listing; percent-decoded if, and only if, the server encodes them and does not say so."""
        if self._encodes_names is None:
            if any("/" in name for name in names):
                self._encodes_names = False
            elif suspect := next(filter(may_be_encoded, names), None):
                with suppress(FileMissing):
                    await self._objects.head(decoded(suspect))
                    self._encodes_names = True
        return [decoded(name) for name in names] if self._encodes_names else names
