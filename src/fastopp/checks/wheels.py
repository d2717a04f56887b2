"""Whether locked packages have wheels for a Python on Linux, or have to be compiled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fastopp.checks.lockfile import Lock, LockedPackage

ARCHITECTURES: Final = {"x86-64": ("x86_64",), "arm64": ("aarch64",)}
"""The ends of wheels' platform tags, by the name of the processor."""


def packages_without_wheels(lock: Lock, minor: int, architecture: str) -> Iterable[LockedPackage]:
    """Return the packages from a registry that Python 3.`minor` has to compile on such a processor."""
    packages = (package for package in lock.needed(minor).values() if "registry" in package.source)
    return (package for package in packages if not _has_wheel(package, minor, ARCHITECTURES[architecture]))


def _has_wheel(package: LockedPackage, minor: int, machines: tuple[str, ...]) -> bool:
    return any(_fits(tag, minor, machines) for wheel in package.wheels for tag in _tags(wheel))


def _tags(wheel: str) -> Iterable[Tag]:
    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return ()


def _fits(tag: Tag, minor: int, machines: tuple[str, ...]) -> bool:
    """Return whether Python 3.`minor` on a Linux with any glibc accepts such a wheel."""
    linux = tag.platform.startswith(("manylinux", "linux")) and tag.platform.endswith(machines)
    if tag.platform != "any" and not linux:
        return False
    if tag.interpreter in ("py3", "py2.py3") or tag.interpreter == f"cp3{minor}":
        return tag.abi in ("none", "abi3", f"cp3{minor}")
    oldest = tag.interpreter.removeprefix("cp3").removeprefix("py3")
    return oldest.isdigit() and int(oldest) <= minor and tag.abi in ("abi3", "none")
