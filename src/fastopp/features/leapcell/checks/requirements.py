"""Checks of the requirements files, which LeapCell installs from, against uv.lock. No network."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext, is_fastopp_project
from fastopp.checks.errors import CannotCheck
from fastopp.checks.project_python import allowed_minors
from fastopp.checks.requirement_lines import (
    REQUIREMENTS,
    UNHASHED,
    Pins,
    Requirement,
    by_name,
    install_line,
    read_requirements,
)
from fastopp.checks.wheels import ARCHITECTURES, packages_without_wheels
from fastopp.features.leapcell.checks.manifest import installs_requirements, manifest_of
from fastopp.platforms.leapcell import LEAPCELL

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
    if not (context.folder / REQUIREMENTS).is_file() and installs_requirements(context):
        foreign = "Write the file, or remove it from the buildCommand."
        hint = None if is_fastopp_project(context.folder) else foreign
        yield Problem("There is no requirements.txt.", hint)


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
    if lock is None and not is_fastopp_project(context.folder):
        return
    if lock is None:
        absent = sorted(_declared(context) - have.keys())
        if absent:
            yield Problem(f"{REQUIREMENTS} lacks {_few(absent)}, which pyproject.toml asks for.")
        return
    locked = list(lock.requirements())
    want = by_name(each for each in locked if each.hashes)
    yield from _differences(REQUIREMENTS, want, have)
    if not is_fastopp_project(context.folder):  # it may have written the file without hashes
        return
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
    """Return whether a command installs by other means what a file names, as `pip install .` does."""
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
    """It must be compiled during the build, which needs a compiler and the package's libraries. Wheels are needed for
    the Python in .python-version, or else for each one that requires-python allows, on either processor: which of them
    LeapCell has is not documented."""
    if context.lock is None:
        raise CannotCheck("There is no uv.lock, which names the files of each package.")
    minors = allowed_minors(context.folder)
    lacking: dict[tuple[str, str], dict[str, list[int]]] = {}
    for name, minor in product(ARCHITECTURES, minors):
        for package in packages_without_wheels(context.lock, minor, name):
            lacking.setdefault((package.name, package.version), {}).setdefault(name, []).append(minor)
    for (package_name, version), names in sorted(lacking.items()):
        some = sorted({minor for each in names.values() for minor in each})
        where = "" if len(some) == len(minors) else f", on Python {', '.join(f'3.{minor}' for minor in some)}"
        yield Problem(f"{package_name} {version} has no wheel for {' and '.join(names)}{where}.")


def _declared(context: CheckContext) -> set[str]:
    try:
        content = tomllib.loads((context.folder / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise CannotCheck("There is neither a uv.lock nor a pyproject.toml that can be read.") from error
    return {Requirement(line).name for line in content.get("project", {}).get("dependencies", [])}


def _few(names: list[str]) -> str:
    shown = ["the project itself" if name == "." else name for name in names[:5]]
    return ", ".join(shown) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
