"""A project's Python files, read without running them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fastopp.errors import FastOppError


class SourceUnreadable(FastOppError):
    """A file of the project is not Python."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file: its path from the project's folder, and its syntax tree."""

    path: str
    tree: ast.Module

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of everything imported: `a.b` for `import a.b`, and for `from a import b`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

    def calls(self) -> Iterator[ast.Call]:
        """Every call."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def attributes(self, name: str) -> Iterator[tuple[int, str]]:
        """Line and name of what is taken from a module: `Queue` for `multiprocessing.Queue`."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
                yield node.lineno, node.attr

    def strings(self) -> Iterator[str]:
        """Every literal text."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def read_sources(project: Path, folders: Iterable[Path]) -> Iterator[SourceFile]:
    """main.py and the modules in these folders, tests left out. Raises SourceUnreadable."""
    files = [project / "main.py", *(path for folder in folders for path in sorted(folder.rglob("*.py")))]
    for path in dict.fromkeys(files):
        inside = path.relative_to(project) if path.is_relative_to(project) else path
        if not path.is_file() or path.name.startswith("test_") or any(map(_is_left_out, inside.parts)):
            continue
        name = inside.as_posix()
        try:
            yield SourceFile(name, ast.parse(path.read_text(encoding="utf-8"), name))
        except (SyntaxError, UnicodeDecodeError) as error:
            line = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise SourceUnreadable(f"{name} is not Python{line}.") from error


def _is_left_out(part: str) -> bool:
    return part in ("tests", "node_modules", "site-packages") or part.startswith(".")
