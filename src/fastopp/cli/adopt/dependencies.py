"""The packages that the project's own code needs beside FastOpp."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fastopp.cli.adopt.report import Report
from fastopp.console.main_file import write_atomically


def add_dependencies(old: Path, new: Path, packages: set[str], report: Report) -> None:
    """Add the old project's requirements that its own code imports to the new pyproject.toml.

    Parameters
    ----------
    packages: top-level packages that the code imports.
    """
    wanted = {name for name in packages if name not in sys.stdlib_module_names and name not in ("fastopp", "demo")}
    present = {canonicalize_name(Requirement(each).name) for each in metadata.requires("fastopp") or ()}
    distributions = metadata.packages_distributions()
    added = []
    for requirement in _requirements(old):
        name = canonicalize_name(requirement.name)
        if name in present:
            continue
        modules = {m for m, found in distributions.items() if name in map(canonicalize_name, found)} | {
            name.replace("-", "_")
        }
        if modules & wanted:
            added.append(str(requirement))
            wanted -= modules
    path = new / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    lines = "".join(f", {json.dumps(each)}" for each in added)
    write_atomically(path, re.sub(r'(?m)^(dependencies = \["fastopp[^"]*")\]', rf"\g<1>{lines}]", text).encode())
    if added:
        report.did(f"Requirements: {', '.join(added)}.")
    for missing in sorted(each for each in wanted if find_spec(each) is None):
        report.left(Path("pyproject.toml"), 0, f"The code imports `{missing}`, which no requirement names.")


def _requirements(old: Path) -> list[Requirement]:
    path = old / "pyproject.toml"
    if not path.is_file():
        return []
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    return [Requirement(each) for each in project.get("dependencies", [])]
