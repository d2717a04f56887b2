"""Find the Python that a project asks for: by an option, `.python-version`, or `requires-python`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from leapcell_emulator.environment import machine_environment
from leapcell_emulator.errors import BadRequest

_MINORS: Final = range(20, 5, -1)  # of Python 3, the newest first
_PATIENCE: Final = 10.0  # seconds for a program to say which Python it is
_QUESTION: Final = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.executable, sys.base_prefix, sep=chr(10))"


class PythonMissing(BadRequest):
    """No Python of the wanted version was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A version that is asked for: `3.12`, `3.12.1`, or specifiers as in `>=3.12,<3.14`."""

    version: str
    source: str
    """The file or option that asks."""

    def matches(self, version: str) -> bool:
        """Return whether this version will do; of three numbers the last one is not compared."""
        if self.version[0].isdigit():
            return version.split(".")[: min(2, self.version.count(".") + 1)] == self.version.split(".")[:2]
        return version in SpecifierSet(self.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """A Python on this machine."""

    program: Path
    version: str
    folder: Path
    """Its installation."""


def read_wanted(folder: Path, option: str | None) -> Wanted | None:
    """The version that the option or the project's files ask for. Raises `PythonMissing` for what is no version."""
    if option:
        return _check(option, "--python")
    if version := _python_version(folder / ".python-version"):
        return _check(version, ".python-version")
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
        wanted = tomllib.loads(text).get("project", {}).get("requires-python")
    except (OSError, ValueError, AttributeError):
        return None
    return _check(wanted, "requires-python in pyproject.toml") if isinstance(wanted, str) and wanted.strip() else None


def find_python(wanted: Wanted | None) -> Interpreter:
    """The Python that will do, ours if possible. Raises `PythonMissing`."""
    own = ".".join(map(str, sys.version_info[:3]))
    if wanted is None or wanted.matches(own):
        return Interpreter(program=Path(sys.executable), version=own, folder=Path(sys.base_prefix))
    for candidate in _candidates(wanted):
        found = _ask(candidate)
        if found is not None and wanted.matches(found.version):
            return found
    minor = re.search(r"3\.\d+", wanted.version)
    raise PythonMissing(
        f"{wanted.source} asks for Python {wanted.version}, which was not found on this machine.",
        hint=f"Install it, for example with: uv python install {minor[0] if minor else wanted.version}",
    )


def _check(version: str, source: str) -> Wanted:
    version = version.strip().removeprefix("python").removeprefix("cpython-")
    if not re.fullmatch(r"3(\.\d+){0,2}", version):
        try:
            SpecifierSet(version)
        except InvalidSpecifier:
            raise PythonMissing(f"{source} asks for Python {version}.", hint="Write a version like 3.12.") from None
    return Wanted(version=version, source=source)


def _python_version(path: Path) -> str:
    """The first version in a `.python-version`; of another implementation, none."""
    try:
        lines = path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError):
        return ""
    return next((line for line in lines if re.fullmatch(r"(c?python-?)?3(\.\d+){0,2}", line)), "")


def _candidates(wanted: Wanted) -> Iterator[Path]:
    """Programs that may be it: what uv knows, then those on PATH, of pyenv and of uv."""
    if uv := shutil.which("uv"):
        command = [uv, "python", "find", "--no-project", "--no-python-downloads", wanted.version]
        if found := _run(command):
            yield Path(found.strip())
    for minor in _MINORS:
        if (path := shutil.which(f"python3.{minor}")) and "shims" not in Path(path).parts:
            yield Path(path)
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT", home / ".pyenv"))
    for pattern, root in (
        ("versions/3.*/bin/python", pyenv),
        ("cpython-3.*/bin/python3", home / ".local/share/uv/python"),
    ):
        yield from sorted(root.glob(pattern), key=_numbers, reverse=True)


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", path.parts[-3])[:3]]


def _ask(program: Path) -> Interpreter | None:
    """Return what a Python reports of itself; None: it does not run."""
    lines = _run([str(program), "-I", "-c", _QUESTION]).splitlines()
    if len(lines) != 3:
        return None
    return Interpreter(program=Path(lines[1]), version=lines[0], folder=Path(lines[2]))


def _run(command: list[str]) -> str:
    environment = machine_environment()
    try:
        done = subprocess.run(  # noqa: S603 - programs that are installed here
            command, capture_output=True, text=True, env=environment, timeout=_PATIENCE, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
