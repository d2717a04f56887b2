"""Wheels of distributions that no package index has, in the project's folder `wheels`, where git keeps them."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from fastopp.console.output import say

WHEELS: Final = "wheels"

_IGNORE_ALL: Final = "*"  # the .gitignore that `uv build` writes into its output folder
# Written by installers, and not part of a wheel; RECORD is written again.
_OF_INSTALLERS: Final = frozenset(
    {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json"}
)


def find_wheels(folder: Path) -> dict[str, Path]:
    """Return the newest wheel of each distribution in the project's `wheels`, by name, as a path in the project."""
    found: dict[str, Path] = {}
    for path in sorted((folder / WHEELS).glob("*.whl"), key=_version):
        try:
            found[parse_wheel_filename(path.name)[0]] = path.relative_to(folder)
        except InvalidWheelFilename:
            continue
    return found


def vendor(folder: Path, needed: Iterable[str]) -> None:
    """Write a wheel of each needed distribution that was installed from this machine, as in `pip install ./fastopp`.

    Parameters
    ----------
    needed: names. What they depend on is needed too.
    """
    for distribution in _local(needed):
        path = folder / WHEELS / _file_name(distribution)
        path.parent.mkdir(exist_ok=True)
        before = path.read_bytes() if path.is_file() else None
        write_wheel(distribution, path)
        say(
            f"  {path.relative_to(folder)} is up to date."
            if path.read_bytes() == before
            else f"  Wrote {path.relative_to(folder)}."
        )


def keep_in_git(folder: Path) -> None:
    """Delete the .gitignore that `uv build` writes beside the wheels, and that hides them from git."""
    path = folder / WHEELS / ".gitignore"
    if path.is_file() and path.read_text(encoding="utf-8").strip() == _IGNORE_ALL:
        path.unlink()
        say(f"  Deleted {WHEELS}/.gitignore, which hid the wheels from git.")


def write_wheel(distribution: metadata.Distribution, path: Path) -> None:
    """Pack an installed distribution as the wheel that it was installed from; the same files make the same wheel."""
    folder = f"{distribution.metadata['Name'].replace('-', '_')}-{distribution.version}.dist-info"
    contents = {name: place.read_bytes() for name, place in sorted(_files(distribution).items())}
    lines = [f"{name},sha256={_digest(data)},{len(data)}\n" for name, data in contents.items()]
    contents[f"{folder}/RECORD"] = "".join([*lines, f"{folder}/RECORD,,\n"]).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)


def _local(needed: Iterable[str]) -> Iterator[metadata.Distribution]:
    """Find those of the needed distributions that were installed from this machine, in the order of their need."""
    waiting, seen = [canonicalize_name(name) for name in needed], set[str]()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        if _is_local(distribution):
            yield distribution
            waiting += [canonicalize_name(Requirement(line).name) for line in distribution.requires or ()]


def _is_local(distribution: metadata.Distribution) -> bool:
    """Return whether it was copied from a folder or file of this machine (https://peps.python.org/pep-0610/)."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return str(origin.get("url", "")).startswith("file:") and not origin.get("dir_info", {}).get("editable")


def _files(distribution: metadata.Distribution) -> Mapping[str, Path]:
    """Return the files below site-packages that came from the wheel: no programs, and no byte code."""
    files = (file for file in distribution.files or () if ".." not in file.parts and "__pycache__" not in file.parts)
    return {file.as_posix(): Path(str(distribution.locate_file(file))) for file in files if not _is_of_installer(file)}


def _is_of_installer(file: metadata.PackagePath) -> bool:
    return file.parent.name.endswith(".dist-info") and file.name in _OF_INSTALLERS


def _file_name(distribution: metadata.Distribution) -> str:
    lines = (distribution.read_text("WHEEL") or "").splitlines()
    tags = [line.partition(":")[2].strip().split("-") for line in lines if line.startswith("Tag:")] or [
        ["py3", "none", "any"]
    ]
    tag = "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True))
    return f"{canonicalize_name(distribution.metadata['Name']).replace('-', '_')}-{distribution.version}-{tag}.whl"


def _version(path: Path) -> tuple[str, object]:
    try:
        name, version, *_ = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return path.name, 0
    return name, version


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
