"""Checks of the requirements files, which LeapCell installs from, against uv.lock. No network."""

from __future__ import annotations

import shlex
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from packaging.tags import Tag
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.checks.lockfile import Lock, LockedPackage
from fastopp.checks.requirement_lines import (
    REQUIREMENTS,
    UNHASHED,
    Pins,
    Requirement,
    by_name,
    install_line,
    read_requirements,
)
from fastopp.features.leapcell.checks.manifest import manifest_of
from fastopp.platforms.leapcell import LEAPCELL

# What LeapCell runs on is not documented. Its logs look like arm64, its build machines may be either.
ARCHITECTURES: Final = {"x86-64": ("x86_64",), "arm64": ("aarch64",)}

_AGAIN = (
    f"Delete {REQUIREMENTS}, and {UNHASHED} if there is one, run `python oppman.py leapcell init`, and commit what it "
    "writes."
)


@check(
    "fastopp.E321",
    "requirements.txt is missing",
    fix="Run `python oppman.py leapcell init` and commit the file.",
    subject=Subject.REQUIREMENTS,
    scope=LEAPCELL.name,
)
def missing(context: CheckContext) -> Iterator[Problem]:
    """LeapCell's build machine uses pip, which does not read uv.lock."""
    if not (context.folder / REQUIREMENTS).is_file():
        yield Problem("There is no requirements.txt.")


@check(
    "fastopp.E322",
    "requirements.txt is not what the project needs",
    fix=_AGAIN,
    subject=Subject.REQUIREMENTS,
    scope=LEAPCELL.name,
)
def out_of_step(context: CheckContext) -> Iterator[Problem]:
    """The service would run other versions or files than the tested ones, or not start at all."""
    if not (context.folder / REQUIREMENTS).is_file():
        raise CannotCheck("There is no requirements.txt.")
    have = _read(context.folder / REQUIREMENTS)
    lock = context.lock
    if lock is None:
        absent = sorted(_declared(context) - have.keys())
        if absent:
            yield Problem(f"{REQUIREMENTS} lacks {_few(absent)}, which pyproject.toml asks for.")
        return
    locked = list(lock.requirements())
    want = by_name(each for each in locked if each.hashes)
    yield from _differences(REQUIREMENTS, want, have)
    yield from _hash_differences(want, have)
    want, have = by_name(each for each in locked if not each.hashes), _read(context.folder / UNHASHED)
    yield from _differences(UNHASHED, want, have)
    if added := sorted(have.keys() - want.keys()):
        yield Problem(f"{UNHASHED} installs {_few(added)} without a hash, which uv.lock does not ask for.")


def _differences(file: str, want: Mapping[str, Pins], have: Mapping[str, Pins]) -> Iterator[Problem]:
    if absent := sorted(want.keys() - have.keys()):
        yield Problem(f"{file} lacks {_few(absent)}.")
    other = [
        f"{name} ({_instead(have[name], want[name])})"
        for name in sorted(want.keys() & have.keys())
        if want[name].versions != have[name].versions
    ]
    if other:
        yield Problem(f"{file} has other versions than uv.lock: {_few(other)}.")


def _hash_differences(want: Mapping[str, Pins], have: Mapping[str, Pins]) -> Iterator[Problem]:
    """Report lines without hashes, also of packages that are not locked: pip refuses all lines for one."""
    if want and (without := sorted(name for name, pins in have.items() if not pins.hashes)):
        yield Problem(f"{REQUIREMENTS} has no hash for {_few(without)}.")
    same = (name for name in want.keys() & have.keys() if want[name].versions == have[name].versions)
    if other := sorted(name for name in same if have[name].hashes and want[name].hashes != have[name].hashes):
        yield Problem(f"{REQUIREMENTS} has other hashes than uv.lock for {_few(other)}.")


def _instead(have: Pins, want: Pins) -> str:
    if any("://" in version for version in have.versions | want.versions):
        return "another address"  # which may hold a password
    return f"{', '.join(sorted(have.versions)) or 'any version'} instead of {', '.join(sorted(want.versions))}"


def _read(path: Path) -> dict[str, Pins]:
    return by_name(read_requirements(path.read_text(encoding="utf-8"))) if path.is_file() else {}


@check(
    "fastopp.E324",
    f"The build command does not install {UNHASHED}",
    fix=f"Let the buildCommand of leapcell.yaml begin with `{install_line(both=True)}`.",
    subject=Subject.REQUIREMENTS,
    scope=LEAPCELL.name,
)
def second_file(context: CheckContext) -> Iterator[Problem]:
    """Packages without a hash, like the project itself, are in a second file. Without it the service does not start."""
    command = manifest_of(context).build_command
    if not (context.folder / UNHASHED).is_file():
        if UNHASHED in command:
            hint = (
                f"Replace it in leapcell.yaml by `{install_line(both=False)}`, or run `python oppman.py leapcell init`."
            )
            yield Problem(f"The build command installs {UNHASHED}, which does not exist.", hint)
    elif REQUIREMENTS in command and UNHASHED not in command and not _installs(command, context.folder / UNHASHED):
        yield Problem(f"The build command installs {REQUIREMENTS} and not {UNHASHED}.")


def _installs(command: str, path: Path) -> bool:
    """Whether a command installs by other means what a file names, as `pip install .` does."""
    if "oppman.py leapcell build" in command and "--no-install" not in command:
        return True
    try:
        words = set(shlex.split(command))
    except ValueError:
        return False
    return _read(path).keys() <= words


@check(
    "fastopp.W323",
    "A package has no wheel for Linux on x86-64 or arm64",
    fix="Use a version or another package that has a wheel, or make sure that the build can compile it.",
    subject=Subject.REQUIREMENTS,
    scope=LEAPCELL.name,
)
def no_wheel(context: CheckContext) -> Iterator[Problem]:
    """It must be compiled during the build, which needs a compiler and the package's libraries."""
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
    """Return whether Python 3.`minor` on a Linux with any glibc accepts such a wheel."""
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
    return {Requirement(line).name for line in content.get("project", {}).get("dependencies", [])}


def _few(names: list[str]) -> str:
    shown = ["the project itself" if name == "." else name for name in names[:5]]
    return ", ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
