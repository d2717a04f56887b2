"""Which Python a project asks for, and where it is found."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from leapcell_emulator.interpreters import PythonMissing, Wanted, find_python, read_wanted

OWN = f"3.{sys.version_info.minor}"


@pytest.mark.parametrize(
    ("option", "files", "version", "source"),
    [
        ("3.12", {".python-version": "3.11"}, "3.12", "--python"),
        (None, {".python-version": "# pinned\n3.12.4\n3.11"}, "3.12.4", ".python-version"),
        (None, {".python-version": "cpython-3.13"}, "3.13", ".python-version"),
        (
            None,
            {".python-version": "pypy3.10", "pyproject.toml": "[project]\nrequires-python='>=3.12'"},
            ">=3.12",
            "requires-python in pyproject.toml",
        ),
    ],
)
def test_what_asks(option: str | None, files: dict[str, str], version: str, source: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    wanted = read_wanted(tmp_path, option)
    assert wanted == Wanted(version=version, source=source)


@pytest.mark.parametrize("text", ["[project", "", "project = 5", "[project]\nrequires-python=5"])
def test_nothing_asks(text: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(text)
    assert read_wanted(tmp_path, None) is None


@pytest.mark.parametrize("version", ["three", "3.x", "2.7"])
def test_what_is_no_version(version: str, tmp_path: Path) -> None:
    with pytest.raises(PythonMissing, match=f"--python asks for Python {version}"):
        find_python(read_wanted(tmp_path, version))


@pytest.mark.parametrize(
    ("wanted", "version", "matches"),
    [
        ("3.12", "3.12.1", True),
        ("3.12.4", "3.12.1", True),
        ("3.1", "3.12.1", False),
        ("3", "3.12.1", True),
        (">=3.12,<3.13", "3.12.1", True),
        (">=3.13", "3.12.1", False),
    ],
)
def test_what_will_do(wanted: str, version: str, *, matches: bool) -> None:
    assert Wanted(version=wanted, source="x").matches(version) is matches


def test_ours_if_possible() -> None:
    found = find_python(Wanted(version=OWN, source="x"))
    assert found.program == Path(sys.executable)
    assert find_python(None) == found


def test_one_on_the_path_is_asked_for_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program's name is not trusted: it may be a shim."""
    for minor, version in ((98, "3.98.1"), (97, "3.12.0")):
        program = tmp_path / f"python3.{minor}"
        program.write_text(f"#!/bin/sh\nprintf '{version}\\n{program}\\n{tmp_path}\\n'\n")
        program.chmod(0o755)
    monkeypatch.setattr("leapcell_emulator.interpreters._MINORS", range(98, 96, -1))
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "none"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    found = find_python(Wanted(version="3.98", source="x"))
    assert (found.program, found.version, found.folder) == (tmp_path / "python3.98", "3.98.1", tmp_path)
    with pytest.raises(PythonMissing, match=r"x asks for Python 3\.97, which was not found") as missing:
        find_python(Wanted(version="3.97", source="x"))
    assert missing.value.hint == "Install it, for example with: uv python install 3.97"


def test_pyenvs_newest_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("3.98.2", "3.98.10"):
        program = tmp_path / "versions" / version / "bin" / "python"
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\nprintf '{version}\\n{program}\\n{program.parents[1]}\\n'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert find_python(Wanted(version=">=3.98", source="x")).version == "3.98.10"
