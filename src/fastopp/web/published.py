"""Static files at a CDN: which set of them this build has published, and the address of each.

A set is the state of all static files together, named by the hash of their names and contents. Its files keep their
names below it, so that a style sheet finds its fonts and a script its modules. A set never changes, and is cached for
ever.

Pages use the CDN only if the build has seen the whole set there: it leaves a note beside the byte code. Without the
note they use this site's /static, which always works.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from fastopp.settings import Settings
from fastopp.storage.keys import PUBLISHED, is_key
from fastopp.web.statics import COMPILED, UPLOADS

NOTE: Final = Path("__pycache__/fastopp-static.json")  # as the release is; git ignores it
MANIFEST: Final = "manifest.json"  # of a set, stored last: with it the set is whole
ID_LENGTH: Final = 20  # hexadecimal digits


class PublishedSet(NamedTuple):
    """A set of static files at a CDN."""

    cdn: str
    """Its public address, without a slash at the end."""
    id: str
    files: frozenset[str]

    @property
    def address(self) -> str:
        """The address of its folder, with a slash at the end."""
        return f"{self.cdn}/{PUBLISHED}/{self.id}/"

    def url(self, path: str) -> str | None:
        """Return the address of a file; None if it is none of the set."""
        return self.address + quote(path) if path in self.files else None


def find_static_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Return all files behind /static by their path, without uploads; the first folder that has one wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            path = file.relative_to(folder).as_posix()
            parts = path.split("/")
            if parts[0] != UPLOADS and COMPILED not in parts and is_key(path) and file.is_file():
                found.setdefault(path, file)
    return found


def hash_files(files: Mapping[str, Path]) -> dict[str, str]:
    """Return the SHA-256 of each file. Reads all of them."""
    return {path: hashlib.sha256(file.read_bytes()).hexdigest() for path, file in sorted(files.items())}


def set_id(hashes: Mapping[str, str]) -> str:
    """Return the name of the set of these files."""
    text = "".join(f"{path}\n{digest}\n" for path, digest in sorted(hashes.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def write_note(project: Path, published: PublishedSet) -> None:
    """Have pages use the set from the next start on."""
    path = project / NOTE
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"cdn": published.cdn, "id": published.id, "files": sorted(published.files)}))


def remove_note(project: Path) -> None:
    """Have pages use /static from the next start on."""
    (project / NOTE).unlink(missing_ok=True)


def read_note(project: Path, settings: Settings) -> PublishedSet | None:
    """Return the set that pages use; None for /static: in development, without STATIC_CDN_URL, and without a note."""
    cdn = settings.static_cdn_url.rstrip("/")
    if settings.development or not cdn:
        return None
    try:
        note = json.loads((project / NOTE).read_text())
        published = PublishedSet(str(note["cdn"]), str(note["id"]), frozenset(note["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return published if published.cdn == cdn else None
