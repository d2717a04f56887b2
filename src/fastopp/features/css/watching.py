"""Compile a project's CSS again when a template changes, beside a development server: in a thread of the reloader."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fastopp.console.main_file import find_project_apps
from fastopp.console.output import complain, say
from fastopp.errors import FastOppError
from fastopp.features.css.classes import needs_compiling
from fastopp.features.css.compiling import DIRECTIVES, OUTPUT, TailwindMissing, compile_project

_SUFFIXES: Final = (".html", ".js")
_NAMES: Final = (DIRECTIVES.name, "main.py")  # main.py lists the apps
_MILLISECONDS_TO_STOP: Final = 500


@contextmanager
def css_kept_up_to_date(project: Path) -> Generator[None]:
    """Compile the CSS while the block runs: now, and after every change, unless the framework's suffices."""
    stopped = threading.Event()
    thread = threading.Thread(target=_keep_up_to_date, args=(project, stopped), name="css", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def watch(project: Path, stopped: threading.Event) -> None:
    """Compile the CSS after each change of a template, until `stopped` is set. Ctrl+C ends it too."""
    import watchfiles  # noqa: PLC0415 - comes with uvicorn[standard]

    class Sources(watchfiles.DefaultFilter):
        def __call__(self, change: object, path: str) -> bool:
            wanted = path.endswith(_SUFFIXES) or Path(path).name in _NAMES
            return wanted and super().__call__(change, path)  # type: ignore[arg-type] # a Change

    for _ in watchfiles.watch(
        project,
        watch_filter=Sources(),
        stop_event=stopped,
        rust_timeout=_MILLISECONDS_TO_STOP,
        raise_interrupt=False,
    ):
        if not _compile(project):
            return


def _keep_up_to_date(project: Path, stopped: threading.Event) -> None:
    if _compile(project):
        watch(project, stopped)


def _compile(project: Path) -> bool:
    """Compile if needed, and report it. Return whether it is worth trying again."""
    try:
        apps = find_project_apps()
        if needs_compiling(project, apps):
            compile_project(project, apps)
            say(f"Compiled {OUTPUT}.")
    except TailwindMissing as error:
        complain(error)
        return False
    except FastOppError as error:
        complain(error)
    return True
