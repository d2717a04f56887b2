"""What the workers of a test run share: the first that needs it makes or starts it, and stops it after the last use."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest


def folder_of_run(config: pytest.Config, paths: pytest.TempPathFactory) -> Path:
    """Return the folder that the workers of this run share; a run without workers has a separate one."""
    own = paths.getbasetemp()
    return own.parent if hasattr(config, "workerinput") else own


@contextmanager
def locked(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a lock between processes; the kernel releases that of a killed process."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield


def made_once(path: Path, make: Callable[[], Any]) -> Any:
    """Return what the first worker has made that asks for it.

    path: of a file that keeps it, as JSON.
    """
    with locked(path.with_suffix(".lock")):
        if not path.exists():
            path.write_text(json.dumps(make()), encoding="utf-8")
        return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def running_once(path: Path, start: Callable[[], AbstractContextManager[str]]) -> Iterator[str]:
    """Give the address of a server that the first worker has started that asks for it.

    That worker stops it in the end, when all others have left. Who comes later starts another.

    path: of a file that keeps the address.
    start: runs the server, and gives its address.
    """
    beginning = path.with_suffix(".lock")
    with ExitStack() as held:
        with locked(beginning):
            if path.exists():
                users, _, address = path.read_text(encoding="utf-8").partition("\n")
                held.enter_context(locked(Path(users), shared=True))
            else:
                users = str(path.with_suffix(f".{os.getpid()}"))
                address = held.enter_context(start())
                held.enter_context(_last(users))
                path.write_text(f"{users}\n{address}", encoding="utf-8")
                held.enter_context(_ending(beginning, path))
        yield address


@contextmanager
def _last(users: str) -> Iterator[None]:
    """In the end, wait until no other has it."""
    yield
    with locked(Path(users)):
        pass


@contextmanager
def _ending(beginning: Path, path: Path) -> Iterator[None]:
    """In the end, have the next worker start another server."""
    yield
    with locked(beginning):
        path.unlink()
