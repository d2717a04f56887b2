"""The files of a project that this repository has in another form, since it has tests and a workflow for itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from fastopp.console.main_file import write_atomically

_SOURCES: Mapping[str, str] = {
    ".github/workflows/tests.yml": "workflow.yml.tmpl",
    "script/test": "test.tmpl",
    "tests/__init__.py": "",
    "tests/test_project.py": "test_project.py.tmpl",
}
_PROGRAM = "script/test"


def write_project_files(project: Path) -> list[Path]:
    """Write tests of the project, a script that runs them, and a workflow; return those that were not there."""
    folder = resources.files("fastopp.cli") / "project_files"
    missing = [name for name in _SOURCES if not (project / name).exists()]
    for name in missing:
        target, source = project / name, _SOURCES[name]
        target.parent.mkdir(parents=True, exist_ok=True)
        data = folder.joinpath(source).read_bytes() if source else b""
        write_atomically(target, data, mode=0o755 if name == _PROGRAM else 0o644)
    return [Path(name) for name in missing]
