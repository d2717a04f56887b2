"""The emulator's own folder: deployments, and a folder for each instance. It goes with the emulator."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from leapcell_emulator.control_group import remove_abandoned

PREFIX: Final = "leapcell-"
LOCK: Final = "lock"


class Workplace:
    """A new folder, locked as long as we live, so that another emulator can recognise a dead one's and delete it."""

    def __init__(self) -> None:
        parent = shared_parent()
        for abandoned in parent.glob(f"{PREFIX}*/{LOCK}"):
            _delete_abandoned(abandoned)
        remove_abandoned(PREFIX, lambda name: (parent / name).exists())
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        # Locked before it has its name: another emulator takes a folder with a lock that is free for a dead one's.
        unnamed = self.folder / "unnamed"
        self._lock = unnamed.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        unnamed.rename(self.folder / LOCK)
        self.instances = self.folder / "instances"
        self.instances.mkdir()
        self.home = self.folder / "home"
        """The home folder of projects before their builds."""
        self.home.mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()

    def deployment(self, number: int) -> Path:
        """A new folder for a deployment."""
        folder = self.folder / f"deployment-{number}"
        (folder / "project").mkdir(parents=True)
        return folder


def shared_parent() -> Path:
    """Return the folder for files that instances can read: not below /tmp if possible, since each has its own /tmp."""
    preferred = Path("/var/tmp")  # noqa: S108 - mkdtemp makes a folder that only we can enter
    try:
        with tempfile.TemporaryFile(dir=preferred):
            return preferred
    except OSError:
        return Path(tempfile.gettempdir())


def _delete_abandoned(lock: Path) -> None:
    """Delete the folder of an emulator that was killed. One that runs holds its lock; another user's is not ours."""
    with contextlib.suppress(OSError), lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.parent, ignore_errors=True)
