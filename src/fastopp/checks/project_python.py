"""The Pythons that a project is for: those that .python-version, uv.lock and pyproject.toml allow."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Final

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from fastopp.checks.lockfile import MINORS

# `3.12`, `3.12.4`, `cpython-3.12` and `cpython@3.12`: https://docs.astral.sh/uv/concepts/python-versions/
_VERSION: Final = re.compile(r"(?:c?python[@-]?)?3\.(\d+)(?:\.\d+)?(?:\D.*)?")


def allowed_minors(folder: Path) -> tuple[int, ...]:
    """Return the minor versions of Python 3 that the project allows, oldest first: all if it does not say."""
    pin = _first_line(folder / ".python-version")
    if found := _VERSION.fullmatch(pin):
        return (int(found[1]),)
    return (
        _within(pin) or _within(_requires(folder / "uv.lock") or _requires(folder / "pyproject.toml")) or tuple(MINORS)
    )


def _first_line(path: Path) -> str:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return next(filter(None, lines), "")


def _requires(path: Path) -> str:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return ""
    return str(content.get("requires-python") or content.get("project", {}).get("requires-python") or "")


def _within(specifier: str) -> tuple[int, ...]:
    try:
        versions = SpecifierSet(specifier)
    except InvalidSpecifier:
        return ()
    return tuple(minor for minor in MINORS if specifier and versions.contains(f"3.{minor}.99"))
