"""`oppman.py clean`: from FastOpp's repository to a project of one's own."""

from __future__ import annotations

import re
from pathlib import Path

from fastopp.cli.project_files import write_project_files
from fastopp.console.main_file import set_title, write_atomically
from fastopp.features.setup import demo_mode

# What belongs to FastOpp and not to a project made with it. Never .git: its history is the user's. README.md is the
# last: while it is FastOpp's, so is the rest, and an interrupted `clean` can go on.
FASTOPPS_OWN = (
    "docs",
    "tests",
    "benchmarks",
    ".ci",
    ".github",
    "script/test",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "LICENSE",
    "README.md",
)
FASTOPPS_README = "# FastOpp\n"

_PYTEST = re.compile(r"(?ms)^\[tool\.pytest\.ini_options\]\n.*?(?=^\[)")


def cleanable(project: Path) -> list[str]:
    """Return the files that `clean` would move away: none once README.md is the project's own."""
    readme = project / "README.md"
    if not readme.is_file() or not readme.read_text(encoding="utf-8").startswith(FASTOPPS_README):
        return []
    return [name for name in ("demo", *FASTOPPS_OWN) if (project / name).exists()]


def clean(project: Path, *, name: str, author: str, description: str) -> Path:
    """Move the demo and FastOpp's own files to backups/clean/, and write the project's name and tests.

    Returns the backup's folder. Interrupted, it can be run again and goes on.
    """
    folder = demo_mode.new_backup_folder(project, "clean")
    folder.mkdir(parents=True)
    if (project / demo_mode.DEMO).is_dir():
        demo_mode.destroy(project)
    for item in FASTOPPS_OWN:
        if (project / item).exists():
            (folder / item).parent.mkdir(exist_ok=True)
            (project / item).rename(folder / item)
    write_project_files(project)
    readme = f"# {name}\n\n{description}\n\nRun `python oppman.py runserver` and open http://127.0.0.1:8000.\n"
    write_atomically(project / "README.md", readme.encode())
    set_title(project / "main.py", name, description)
    _name_the_package(project / "pyproject.toml", author=author, description=description)
    return folder


def _name_the_package(pyproject: Path, *, author: str, description: str) -> None:
    """The distribution keeps its name while the framework is in src/; the rest is the project's."""
    text = pyproject.read_text(encoding="utf-8")
    text = re.sub(r'(?m)^description = ".*"$', lambda _: f"description = {_toml(description)}", text, count=1)
    text = re.sub(r"(?m)^license-files = .*\n", "", text, count=1)
    text = _PYTEST.sub("", text, count=1)  # made for FastOpp's own tests
    if author and "\nauthors = " not in text:
        text = text.replace("\nreadme = ", f"\nauthors = [{{ name = {_toml(author)} }}]\nreadme = ", 1)
    write_atomically(pyproject, text.encode())


def _toml(value: str) -> str:
    """A TOML basic string (https://toml.io/en/v1.0.0#string)."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'
