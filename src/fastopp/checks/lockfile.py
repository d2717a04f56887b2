"""uv.lock: which packages, in which versions, a project needs on a platform that runs Linux.

The format is uv's own (https://docs.astral.sh/uv/concepts/projects/layout/#the-lockfile): a list of packages, each
with its dependencies, their markers, and the files that there are of it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.markers import Marker
from packaging.specifiers import SpecifierSet

from fastopp.checks.requirement_lines import STRONG_HASHES, Requirement
from fastopp.errors import FastOppError

MINORS: Final = range(9, 15)  # of Python 3, in use today

_LINUX: Final[Mapping[str, str]] = {
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}


class LockUnreadable(FastOppError):
    """uv.lock cannot be read."""

    hint = "Run `uv lock`."


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """A package in the version that the lock has chosen."""

    name: str
    version: str
    source: Mapping[str, str]
    wheels: tuple[str, ...]
    """Names of the files."""
    hashes: frozenset[str]
    """Of the files, wheels or not, for any machine."""

    @property
    def target(self) -> str:
        """As pip takes it."""
        if url := self.source.get("git"):
            place, _, commit = url.partition("#")
            address, _, query = place.partition("?")
            below = "".join(f"#{part}" for part in query.split("&") if part.startswith("subdirectory="))
            return f"{self.name} @ git+{address}@{commit}{below}"
        if url := self.source.get("url"):
            return f"{self.name} @ {url}"
        for kind in ("path", "directory", "editable"):
            if kind in self.source:
                return f"./{self.source[kind].removeprefix('./')}"
        return f"{self.name}=={self.version}"


class Lock:
    """A uv.lock, read."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.requires_python = SpecifierSet(str(content.get("requires-python", "")))
        self._entries: list[Mapping[str, Any]] = list(content.get("package", []))
        self._root = next((entry for entry in self._entries if _is_root(entry)), None)
        if self._root is None:
            raise LockUnreadable("uv.lock does not name the project that it belongs to.")

    @property
    def root_is_package(self) -> bool:
        """The project itself is installed, not only run from its folder."""
        return bool(self._root and "editable" in self._root["source"])

    @property
    def pythons(self) -> tuple[int, ...]:
        """The minor versions of Python 3 that the project is for."""
        return tuple(n for n in MINORS if self.requires_python.contains(f"3.{n}.99"))

    def find(self, name: str) -> LockedPackage | None:
        """Return a package that is locked, in an extra or a group too."""
        return next((_package(entry) for entry in self._entries if entry["name"] == name), None)

    def needed(self, minor: int) -> dict[str, LockedPackage]:
        """Return the project's requirements by name, under Python 3.`minor` on Linux, without its groups."""
        environment = {**_LINUX, "python_version": f"3.{minor}", "python_full_version": f"3.{minor}.99", "extra": ""}
        found: dict[str, LockedPackage] = {}
        done: set[tuple[int, str]] = set()
        assert self._root  # noqa: S101 - as `__init__` has made sure
        waiting: list[tuple[Mapping[str, Any], str]] = [(self._root, "")]
        while waiting:
            entry, extra = waiting.pop()
            if (id(entry), extra) in done:
                continue
            done.add((id(entry), extra))
            if entry is not self._root:
                found[entry["name"]] = _package(entry)
            below = entry.get("optional-dependencies", {}).get(extra, []) if extra else entry.get("dependencies", [])
            for dependency in below:
                if "marker" in dependency and not Marker(dependency["marker"]).evaluate(environment):
                    continue
                target = self._entry(dependency, environment)
                waiting += [(target, wanted) for wanted in ("", *dependency.get("extra", ()))]
        return found

    def _entry(self, dependency: Mapping[str, Any], environment: dict[str, str]) -> Mapping[str, Any]:
        candidates = [
            entry
            for entry in self._entries
            if entry["name"] == dependency["name"]
            and dependency.get("version") in (None, entry.get("version"))
            and _fits(entry.get("resolution-markers", ()), environment)
        ]
        if not candidates:
            raise LockUnreadable(f"uv.lock needs {dependency['name']} and does not describe it.")
        return candidates[0]

    def requirements(self) -> Iterator[Requirement]:
        """The lines of requirements files that install the same on every Python the project is for.

        Those without hashes are the project itself, folders, git repositories, and what is in a registry that
        names no hashes.
        """
        pythons = self.pythons
        packages: dict[tuple[str, str], tuple[LockedPackage, set[int]]] = {}
        for minor in pythons:
            for package in self.needed(minor).values():
                packages.setdefault((package.name, package.target), (package, set()))[1].add(minor)
        for (_, target), (package, minors) in sorted(packages.items(), key=lambda item: item[0]):
            if "virtual" in package.source:  # a folder whose dependencies are wanted; the folder is not installed
                continue
            versions = " or ".join(f'python_version == "3.{minor}"' for minor in sorted(minors))
            yield Requirement(target, "" if minors == set(pythons) else versions, package.hashes)
        if self.root_is_package:
            yield Requirement(".")


def read_lock(path: Path) -> Lock:
    """Read a uv.lock. Raises LockUnreadable."""
    try:
        return Lock(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, ValueError) as error:
        raise LockUnreadable from error


def _is_root(entry: Mapping[str, Any]) -> bool:
    source = entry.get("source", {})
    return "." in (source.get("editable"), source.get("virtual"))


def _fits(markers: Iterable[str], environment: dict[str, str]) -> bool:
    alternatives = list(markers)
    return not alternatives or any(Marker(marker).evaluate(environment) for marker in alternatives)


def _package(entry: Mapping[str, Any]) -> LockedPackage:
    places = (str(wheel.get("filename") or wheel.get("url", "")) for wheel in entry.get("wheels", ()))
    wheels = tuple(place.rpartition("/")[2] for place in places)
    return LockedPackage(
        entry["name"], str(entry.get("version", "")), entry.get("source", {}), wheels, frozenset(_hashes(entry))
    )


def _hashes(entry: Mapping[str, Any]) -> Iterator[str]:
    files = [*entry.get("wheels", ()), entry.get("sdist", {})]
    return (file["hash"] for file in files if file.get("hash", "").startswith(STRONG_HASHES))
