"""Checks of requirements.txt, which LeapCell installs from, against uv.lock. No network."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator
from typing import Final

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fastopp.checks.check import CannotCheck, Problem, Scope, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.lockfile import Lock, LockedPackage, pinned

FILE_NAME: Final = "requirements.txt"
# What LeapCell runs on is not documented. Its logs look like arm64, its build machines may be either.
ARCHITECTURES: Final = {"x86-64": ("x86_64",), "arm64": ("aarch64",)}

_AGAIN = "Delete requirements.txt, run `python oppman.py leapcell init`, and commit it."


@check(
    "fastopp.E321",
    "requirements.txt is missing",
    mend="Run `python oppman.py leapcell init` and commit the file.",
    subject=Subject.REQUIREMENTS,
    scope=Scope.LEAPCELL,
)
def missing(context: CheckContext) -> Iterator[Problem]:
    """LeapCell's build machine has pip; it knows nothing of uv.lock."""
    if not (context.folder / FILE_NAME).is_file():
        yield Problem("There is no requirements.txt.")


@check(
    "fastopp.E322",
    "requirements.txt is not what the project needs",
    mend=_AGAIN,
    subject=Subject.REQUIREMENTS,
    scope=Scope.LEAPCELL,
)
def out_of_step(context: CheckContext) -> Iterator[Problem]:
    """What runs there would be other versions than those that were tested, or would not start at all."""
    path = context.folder / FILE_NAME
    if not path.is_file():
        raise CannotCheck("There is no requirements.txt.")
    have = pinned(path.read_text(encoding="utf-8").splitlines())
    lock = context.lock
    if lock is None:
        absent = sorted(_declared(context) - have.keys())
        if absent:
            yield Problem(f"requirements.txt lacks {_few(absent)}, which pyproject.toml asks for.")
        return
    want = pinned(lock.requirements())
    absent = sorted(want.keys() - have.keys())
    if absent:
        yield Problem(f"requirements.txt lacks {_few(absent)}.")
    other = [
        f"{name} ({', '.join(sorted(have[name])) or 'any version'} instead of {', '.join(sorted(want[name]))})"
        for name in sorted(want.keys() & have.keys())
        if want[name] and want[name] != have[name]
    ]
    if other:
        yield Problem(f"requirements.txt has other versions than uv.lock: {_few(other)}.")


@check(
    "fastopp.W323",
    "A package has no wheel for Linux on x86-64 or arm64",
    mend="Choose a version or another package that has one, or make sure that the build can compile it.",
    subject=Subject.REQUIREMENTS,
    scope=Scope.LEAPCELL,
)
def no_wheel(context: CheckContext) -> Iterator[Problem]:
    """It would be compiled during the build, which needs a compiler and the package's own libraries."""
    if context.lock is None:
        raise CannotCheck("There is no uv.lock, which names the files of each package.")
    minor = sys.version_info.minor
    for package in _from_registry(context.lock, minor):
        lacking = [name for name, machines in ARCHITECTURES.items() if not _has_wheel(package, minor, machines)]
        if lacking:
            yield Problem(f"{package.name} {package.version} has no wheel for {' and '.join(lacking)}.")


def _from_registry(lock: Lock, minor: int) -> Iterable[LockedPackage]:
    return (package for package in lock.needed(minor).values() if "registry" in package.source)


def _has_wheel(package: LockedPackage, minor: int, machines: tuple[str, ...]) -> bool:
    return any(_fits(tag, minor, machines) for wheel in package.wheels for tag in _tags(wheel))


def _tags(wheel: str) -> Iterable[Tag]:
    try:
        return parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return ()


def _fits(tag: Tag, minor: int, machines: tuple[str, ...]) -> bool:
    """Whether Python 3.`minor` of a Linux with glibc takes such a wheel, whatever the age of its glibc."""
    linux = tag.platform.startswith(("manylinux", "linux")) and tag.platform.endswith(machines)
    if tag.platform != "any" and not linux:
        return False
    if tag.interpreter in ("py3", "py2.py3") or tag.interpreter == f"cp3{minor}":
        return tag.abi in ("none", "abi3", f"cp3{minor}")
    oldest = tag.interpreter.removeprefix("cp3").removeprefix("py3")
    return oldest.isdigit() and int(oldest) <= minor and tag.abi in ("abi3", "none")


def _declared(context: CheckContext) -> set[str]:
    try:
        content = tomllib.loads((context.folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CannotCheck("There is neither a uv.lock nor a pyproject.toml that can be read.") from error
    return set(pinned(content.get("project", {}).get("dependencies", [])))


def _few(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
