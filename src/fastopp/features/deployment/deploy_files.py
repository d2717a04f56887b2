"""Files that a platform wants in the project: written, and never over what is there without asking."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as PackageRequirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from fastopp.checks.lockfile import read_lock
from fastopp.checks.requirement_lines import REQUIREMENTS, UNHASHED, Requirement, install_line
from fastopp.console.main_file import ProjectError, read_title, write_atomically
from fastopp.console.output import say
from fastopp.features.deployment.vendored import WHEELS, find_wheels, keep_in_git, vendor

SECRET = 0o600
PUBLIC = 0o644

HEAD = """\
# What the platform installs, from {source}.
# Written by `python oppman.py`.
"""
UNHASHED_HEAD = f"""\
# What cannot have a hash, from uv.lock: installed after {REQUIREMENTS}, with --no-deps.
# What it is built with is downloaded without a hash, too. Written by `python oppman.py`.
"""


@dataclass(frozen=True, slots=True)
class DeployFile:
    """A file to write: its name in the project, its text, who may read it."""

    name: str
    text: str
    mode: int = PUBLIC


def write_files(folder: Path, files: Iterable[DeployFile], *, force: bool, yes: bool) -> list[str]:
    """Write what is not there, and what is there with another content if that is wanted; say what became of each.

    Parameters
    ----------
    force: replace without asking.
    yes: ask nothing, and leave what is there.

    Returns the names of those that were left as they are although they differ.
    """
    left = []
    for file in files:
        path = folder / file.name
        if _is_there(path, file.text):
            path.chmod(file.mode)
            say(f"  {file.name} is up to date.")
        elif path.exists() and not force and not _may_replace(file.name, yes=yes):
            left.append(file.name)
            say(f"  {file.name} exists with other content and is kept; --force replaces it.", style="yellow")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, file.text.encode(), mode=file.mode)
            say(f"  Wrote {file.name}.")
    return left


def _is_there(path: Path, text: str) -> bool:
    return path.is_file() and path.read_bytes() == text.encode()


def _may_replace(name: str, *, yes: bool) -> bool:
    return not yes and sys.stdin.isatty() and typer.confirm(f"{name} exists with other content. Replace it?")


def requirements_files(folder: Path) -> tuple[DeployFile, ...]:
    """Return requirements.txt: uv.lock's versions and hashes, else pyproject.toml's lines. Raises ProjectError.

    A second file follows if something of uv.lock cannot have a hash.
    """
    lock = folder / "uv.lock"
    if not lock.is_file():
        head = HEAD.format(source="pyproject.toml; `uv lock` makes versions exact")
        return (DeployFile(REQUIREMENTS, head + _lines(_unlocked(folder))),)
    requirements = list(read_lock(lock).requirements())
    hashed = DeployFile(REQUIREMENTS, HEAD.format(source="uv.lock") + _lines(r for r in requirements if r.hashes))
    rest = [each for each in requirements if not each.hashes]
    return (hashed, DeployFile(UNHASHED, UNHASHED_HEAD + _lines(rest))) if rest else (hashed,)


def prepare_requirements(folder: Path, *tools: str) -> tuple[DeployFile, ...]:
    """Return the requirements files, having put into `wheels` what they and the tools need and no index has.

    Raises ProjectError.
    """
    keep_in_git(folder)
    if not (folder / "uv.lock").is_file():
        vendor(folder, [*(each.name for each in _declared(folder / "pyproject.toml")), *tools])
    return requirements_files(folder)


def tool_requirement(folder: Path, name: str) -> str:
    """Return a tool as pip takes it: the one in uv.lock, which may be a folder or a wheel, or of `wheels`."""
    lock = folder / "uv.lock"
    if lock.is_file():
        locked = read_lock(lock).find(name)
        return locked.target if locked else name
    wheel = find_wheels(folder).get(canonicalize_name(name))
    return f"./{wheel.as_posix()}" if wheel else name


def _unlocked(folder: Path) -> Iterator[str]:
    """The lines for what pyproject.toml declares: a wheel in `wheels` if there is one that fits."""
    wheels = find_wheels(folder)
    if wheels:
        yield f"--find-links ./{WHEELS}"  # for what the wheels need themselves
    for each in _declared(folder / "pyproject.toml"):
        wheel = wheels.get(canonicalize_name(each.name))
        if wheel and each.specifier.contains(parse_wheel_filename(wheel.name)[1], prereleases=True):
            extras = f"[{','.join(sorted(each.extras))}]" if each.extras else ""
            yield f"./{wheel.as_posix()}{extras}" + (f" ; {each.marker}" if each.marker else "")
        else:
            yield str(each)


def report_stale_commands(folder: Path, requirements: tuple[DeployFile, ...], left: Iterable[str]) -> None:
    """Name the files left as they are that install only the first of two requirements files."""
    for name in set(left) - {file.name for file in requirements} if len(requirements) > 1 else ():
        text = (folder / name).read_text(encoding="utf-8", errors="replace")
        if REQUIREMENTS in text and UNHASHED not in text:
            command = install_line(both=True)
            say(f"  {name} does not install {UNHASHED}. Make it install both: {command}", style="yellow")


def _lines(lines: Iterable[str | Requirement]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _declared(pyproject: Path) -> list[PackageRequirement]:
    try:
        project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
        return [PackageRequirement(line) for line in project["dependencies"]]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        hint = "Add the project's dependencies to pyproject.toml, then run `uv lock`."
        raise ProjectError("There is neither a uv.lock nor a pyproject.toml with dependencies.", hint=hint) from error
    except InvalidRequirement as error:
        raise ProjectError(f"pyproject.toml has an invalid dependency: {error}", hint="Fix it and try again.") from None


def project_name(folder: Path) -> str:
    """The project's name, as a platform takes it: small letters, digits and dashes.

    The name of the site, or else of the distribution: in a clone of FastOpp's repository that remains `fastopp`.
    """
    with suppress(OSError, ProjectError):
        title = read_title(folder / "main.py")
        if title and title != "FastOpp":
            return _as_name(title)
    try:
        name = str(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]["name"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        name = folder.resolve().name
    return _as_name(name)


def _as_name(name: str) -> str:
    letters = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return "-".join(filter(None, letters.split("-"))) or "project"


def hide_from_git(folder: Path, name: str) -> None:
    """Have .gitignore name a file with secrets, if no line does already."""
    path = folder / ".gitignore"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    covering = {name, f"/{name}", ".env*", ".env.*"}
    if covering.isdisjoint(line.strip() for line in text.splitlines()):
        before = text if not text or text.endswith("\n") else f"{text}\n"
        write_atomically(path, f"{before}{name}\n".encode())
        say(f"  Added {name} to .gitignore.")
