"""The parts of a FastOpp 0.4.8 project, read and never changed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fastopp.cli.adopt.edits import Source
from fastopp.cli.adopt.known import Known
from fastopp.console.main_file import ProjectError

# Folders with no code of the project: FastOpp's copies of itself, what tools made, and what is carried otherwise.
_SKIPPED = frozenset({"base_assets", "demo_assets", "docs", "blog", "backups", "fastopp", "alembic", "static",
                      "templates", "tests", "node_modules", "venv", "env", "__pycache__", "build", "dist"})  # fmt: skip

_FRAMEWORK_FOLDERS = frozenset({"admin", "auth", "core", "dependencies", "routes", "scripts"})

# Modules that the framework replaces. What was changed in them is carried only if the project's own code uses it.
_FRAMEWORKS = re.compile(
    r"(db|dependencies|core|auth|oppman|oppdemo|admin\.setup|scripts\.(commands|help|migrate))(\.|$)"
)


class NotAnOldProject(ProjectError):
    """This folder is not a FastOpp 0.4 project."""

    hint = "It has main.py, models.py, db.py and the folder routes."


@dataclass
class Module:
    """A Python module of the old project."""

    name: str
    path: Path
    is_package: bool
    source: Source
    known: frozenset[int]
    """The indexes of the top-level statements that are FastOpp's."""

    @property
    def own(self) -> list[int]:
        """The indexes of the project's own statements: no docstrings, no imports."""
        return [
            index
            for index, statement in enumerate(self.source.tree.body)
            if index not in self.known
            and not isinstance(statement, ast.Import | ast.ImportFrom)
            and not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        ]

    @property
    def is_own(self) -> bool:
        """Whether the file is the project's: FastOpp has none of its functions and classes."""
        definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        return bool(self.own) and not any(isinstance(self.source.tree.body[i], definitions) for i in self.known)

    @property
    def is_frameworks(self) -> bool:
        """Whether the framework has a replacement for this module."""
        return bool(_FRAMEWORKS.match(self.name))

    def absolute(self, node: ast.ImportFrom) -> str:
        """Return the module that an import names, relative or not."""
        if not node.level:
            return node.module or ""
        parts = self.name.split(".") if self.is_package else self.name.split(".")[:-1]
        base = parts[: len(parts) - node.level + 1]
        return ".".join([*base, *([node.module] if node.module else [])])


@dataclass
class OldProject:
    """A FastOpp 0.4.8 project. Raises NotAnOldProject, and ProjectError for a file that is not Python."""

    root: Path
    known: Known = field(default_factory=Known.shipped)

    def __post_init__(self) -> None:
        if not all((self.root / name).exists() for name in ("main.py", "models.py", "db.py", "routes")):
            raise NotAnOldProject

    @cached_property
    def modules(self) -> dict[str, Module]:
        """The Python modules by their import path."""
        return {module.name: module for module in map(self._module, sorted(self._python_files()))}

    def files(self, folder: str) -> list[Path]:
        """Return the files below a folder, relative to the project."""
        found = sorted((self.root / folder).rglob("*"))
        return [path.relative_to(self.root) for path in found if path.is_file() and "__pycache__" not in path.parts]

    def own_files(self, folder: str) -> list[Path]:
        """Return those that FastOpp did not bring."""
        return [path for path in self.files(folder) if not self.known.file(self.root / path)]

    def other_files(self) -> list[Path]:
        """Return the project's own files that are neither code nor pages, like `data/prices.csv`."""
        found = []
        for folder in self._folders():
            if folder.name not in _SKIPPED | _FRAMEWORK_FOLDERS:
                found += [path for path in self.own_files(folder.name) if path.suffix not in (".py", ".pyc")]
        return found

    def _folders(self) -> Iterator[Path]:
        for folder in sorted(self.root.iterdir()):
            hidden = folder.name.startswith(".") or (folder / "pyvenv.cfg").exists()
            if folder.is_dir() and not folder.is_symlink() and not hidden:
                yield folder

    def _python_files(self) -> Iterator[Path]:
        yield from self.root.glob("*.py")
        for folder in self._folders():
            if folder.name not in _SKIPPED:
                yield from (
                    path for path in folder.rglob("*.py") if not _SKIPPED & set(path.relative_to(self.root).parts)
                )

    def _module(self, path: Path) -> Module:
        relative = path.relative_to(self.root)
        is_package = path.name == "__init__.py"
        parts = relative.parent.parts if is_package else relative.with_suffix("").parts
        try:
            source = Source(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise ProjectError(f"{relative}{line}: not Python.", hint="Fix or remove it, then try again.") from error
        known = frozenset(i for i, each in enumerate(source.tree.body) if self.known.statement(source, each))
        return Module(".".join(parts), relative, is_package, source, known)
