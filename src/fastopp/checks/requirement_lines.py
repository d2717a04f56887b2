"""The lines of a requirements file as pip reads them: written, read and compared.

With one hash in a file, pip wants one for each line of it (https://pip.pypa.io/en/stable/topics/secure-installs/).
What cannot have a hash, like the project itself, is therefore in a second file.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as PackageRequirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

REQUIREMENTS: Final = "requirements.txt"
UNHASHED: Final = "requirements-unhashed.txt"
"""The project itself, folders and git repositories: installed after the other file, without dependencies."""

STRONG_HASHES: Final = ("sha256:", "sha384:", "sha512:")
"""The kinds that pip accepts."""

_COMMENT: Final = re.compile(r"(^|\s+)#.*$")
_OPTION: Final = re.compile(r"(?:^|\s+)--?(?=[a-z])")
_EXTRAS: Final = re.compile(r"\[[^\]]*\]$")
_CONTINUED: Final = re.compile(r"\\\n\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A line: what to install, under which condition, and the hashes that its files may have."""

    target: str
    """As pip takes it: `name==version`, `name @ URL`, or a path."""
    marker: str = ""
    hashes: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The normalized name of the package, or the path."""
        if parsed := self._parsed():
            return canonicalize_name(parsed.name)
        if wheel := self._wheel():
            return wheel[0]
        return "an address without a name" if "://" in self.target else self.target  # it may hold a password

    @property
    def version(self) -> str:
        """The version, or the URL; nothing where any will do."""
        parsed = self._parsed()
        if parsed is None:
            wheel = self._wheel()
            return wheel[1] if wheel else ""
        return parsed.url or next((each.version for each in parsed.specifier if each.operator == "=="), "")

    def _wheel(self) -> tuple[str, str] | None:
        """Return the name and version in the path of a wheel."""
        try:
            name, version, *_ = parse_wheel_filename(_EXTRAS.sub("", self.target).rpartition("/")[2])
        except InvalidWheelFilename:
            return None
        return (name, str(version)) if "://" not in self.target else None

    def _parsed(self) -> PackageRequirement | None:
        try:
            return PackageRequirement(self.target)
        except InvalidRequirement:  # a path or a URL
            return None

    def __str__(self) -> str:
        """The text of the line, which goes on over several when there are hashes."""
        condition = f" ; {self.marker}" if self.marker else ""
        return " \\\n    ".join([f"{self.target}{condition}", *(f"--hash={each}" for each in sorted(self.hashes))])


def install_commands(pip: Sequence[str] = ("pip", "install"), *, both: bool) -> list[list[str]]:
    """Return the commands that install the one requirements file, or both."""
    if not both:
        return [[*pip, "-r", REQUIREMENTS]]
    # uv.lock is complete. Without --no-deps, pip would want hashes for dependencies that are in the second file.
    return [[*pip, "--no-deps", "-r", name] for name in (REQUIREMENTS, UNHASHED)]


def install_line(*, both: bool) -> str:
    """Return these commands for a shell."""
    return " && ".join(shlex.join(command) for command in install_commands(both=both))


@dataclass(frozen=True, slots=True)
class Pins:
    """All lines for one package."""

    versions: frozenset[str] = frozenset()
    hashes: frozenset[str] = frozenset()


def read_requirements(text: str) -> Iterator[Requirement]:
    """Read the text of a requirements file. Options, like `-r` and `--index-url`, are left out."""
    text = "\n".join(_COMMENT.sub("", line) for line in text.splitlines())
    for line in _CONTINUED.sub(" ", text).splitlines():
        what, *options = _OPTION.split(line)
        if not what.strip():
            continue
        target, _, marker = what.partition(" ;" if " @ " in what else ";")
        hashes = (option[len("hash=") :].strip() for option in options if option.startswith(("hash=", "hash ")))
        yield Requirement(target.strip(), marker.strip(), frozenset(hashes))


def by_name(requirements: Iterable[Requirement]) -> dict[str, Pins]:
    """Return the versions that the lines allow, by package: none for a line that names none."""
    found: dict[str, Pins] = {}
    for each in requirements:
        before = found.get(each.name, Pins())
        versions = before.versions | ({each.version} if each.version else set())
        found[each.name] = Pins(versions, before.hashes | each.hashes)
    return found
