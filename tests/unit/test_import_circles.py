"""No two modules of a distribution import each other, directly or by a detour, not even for their types."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import fastopp
import leapcell_emulator

ROOTS = tuple(Path(package.__file__).parent for package in (fastopp, leapcell_emulator))


def name_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, known: set[str]) -> set[str]:
    """Return the modules that a module imports, those within functions and for type checkers included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= members & known or {node.module}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known


def test_there_are_no_circles() -> None:
    files = {
        name_of(path, root): path for root in ROOTS for path in root.rglob("*.py") if "app_template" not in path.parts
    }
    graph = {name: imported(path, files.keys() - {name}) for name, path in files.items()}
    assert len(graph) > 300
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules of a circle


def test_a_circle_would_be_found(tmp_path: Path) -> None:
    known = {"fastopp.a", "fastopp.b", "fastopp.b.c"}
    file = tmp_path / "a.py"
    file.write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fastopp.b import c\n\n"
        "def later():\n    import fastopp.a\n"
    )
    assert imported(file, known) == {"fastopp.b.c", "fastopp.a"}
