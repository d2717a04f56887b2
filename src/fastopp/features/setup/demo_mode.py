"""A project with its demo, or without it: moving the demo away, and back.

The demo is the folder `demo/` and its lines in main.py; nothing else is touched. Every operation first makes
a complete backup under `backups/<operation>/<time>/`, and can be run again when it was interrupted.
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from fastopp.console.main_file import ProjectError, add_apps, list_apps, remove_apps

DEMO = "demo"
BACKUPS = "backups"
_PARTIAL = ".partial"  # suffix of a backup that is still being written


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup: `backups/<operation>/<time>`."""

    operation: str
    folder: Path

    @property
    def files(self) -> int:
        """Return the number of its files."""
        return sum(1 for path in self.folder.rglob("*") if path.is_file())


@dataclass(frozen=True, slots=True)
class Difference:
    """A file of the demo that is not as it was saved."""

    kind: Literal["added", "modified", "deleted"]
    path: str


def save(project: Path) -> Backup:
    """Copy the demo as it is now to `backups/save/`.

    Raises ProjectError when there is no demo.
    """
    _require_demo(project)
    return _back_up(project, "save")


def destroy(project: Path) -> Backup:
    """Move the demo to `backups/destroy/` and take its apps out of main.py: minimal mode.

    Raises ProjectError when there is no demo.
    """
    _require_demo(project)
    backup = _back_up(project, "destroy")
    # main.py first: a project that lists an app it does not have would not start.
    remove_apps(project / "main.py", [app for app in list_apps(project / "main.py") if _is_demo(app)])
    doomed = backup.folder.parent / f".{backup.folder.name}{_PARTIAL}"
    (project / DEMO).rename(doomed)
    shutil.rmtree(doomed)
    return backup


def restore(project: Path) -> Backup:
    """Bring back the demo from the newest backup that holds one, and its apps into main.py.

    Raises ProjectError when there is nothing to restore, or when a demo is there.
    """
    if (project / DEMO).exists() and any(_is_demo(app) for app in list_apps(project / "main.py")):
        raise ProjectError("The demo already exists.", hint="Move the folder demo/ away to restore another one.")
    backup = _newest_with_demo(project)
    if backup is None:
        raise ProjectError("No backup holds a demo.", hint="`python oppdemo.py backups` lists the backups.")
    if not (project / DEMO).exists():
        partial = project / f".{DEMO}{_PARTIAL}"
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(backup.folder / DEMO, partial, ignore=_byte_code)
        partial.rename(project / DEMO)
    add_apps(project / "main.py", _demo_apps(project), first=True)
    return backup


def diff(project: Path) -> tuple[Backup, list[Difference]]:
    """Compare the demo with its newest backup.

    Raises ProjectError when there is no backup to compare with.
    """
    backup = _newest_with_demo(project)
    if backup is None:
        raise ProjectError("There is no backup to compare with.", hint="Make one with `python oppdemo.py save`.")
    now, then = _files(project / DEMO), _files(backup.folder / DEMO)
    found = [Difference("added", path) for path in now.keys() - then.keys()]
    found += [Difference("deleted", path) for path in then.keys() - now.keys()]
    found += [
        Difference("modified", path)
        for path in now.keys() & then.keys()
        if not filecmp.cmp(now[path], then[path], shallow=False)
    ]
    return backup, sorted(found, key=lambda difference: difference.path)


def list_backups(project: Path) -> list[Backup]:
    """All complete backups, newest first."""
    folders = (project / BACKUPS).glob("*/*")
    complete = [folder for folder in folders if folder.is_dir() and not folder.name.startswith(".")]
    return [Backup(f.parent.name, f) for f in sorted(complete, key=lambda f: f.name, reverse=True)]


def new_backup_folder(project: Path, operation: str) -> Path:
    """A path `backups/<operation>/<UTC time>` that does not exist; microseconds keep two apart."""
    return project / BACKUPS / operation / datetime.now(UTC).strftime("%Y%m%d_%H%M%S_%f")


def _back_up(project: Path, operation: str) -> Backup:
    folder = new_backup_folder(project, operation)
    partial = folder.with_name(f".{folder.name}{_PARTIAL}")
    partial.mkdir(parents=True)
    shutil.copy2(project / "main.py", partial / "main.py")
    shutil.copytree(project / DEMO, partial / DEMO, ignore=_byte_code)
    partial.rename(folder)
    return Backup(operation, folder)


def _require_demo(project: Path) -> None:
    if not (project / DEMO).is_dir():
        hint = "Restore it from a backup with `python oppdemo.py restore`."
        raise ProjectError("There is no demo in this project.", hint=hint)


def _is_demo(app: str) -> bool:
    return app == DEMO or app.startswith(f"{DEMO}.")


def _demo_apps(project: Path) -> list[str]:
    """The demo's apps as the newest backup lists them; one made by an interrupted `destroy` may list none."""
    for backup in list_backups(project):
        main = backup.folder / "main.py"
        if main.is_file() and (apps := [app for app in list_apps(main) if _is_demo(app)]):
            return apps
    return []


def _newest_with_demo(project: Path) -> Backup | None:
    return next((backup for backup in list_backups(project) if (backup.folder / DEMO).is_dir()), None)


def _files(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).as_posix(): path for path in _walk(folder)}


def _walk(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


_byte_code = shutil.ignore_patterns("__pycache__")
