"""The emulator's own folder, while other emulators start and look for those that were killed."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from leapcell_emulator import workplace
from leapcell_emulator.workplace import Workplace


def test_a_start_is_not_taken_for_a_dead_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workplace, "shared_parent", lambda: tmp_path)
    lock = fcntl.flock

    def another_starts_first(file: object, operation: int) -> None:
        if not operation & fcntl.LOCK_NB:
            for found in tmp_path.glob(f"{workplace.PREFIX}*/{workplace.LOCK}"):
                workplace._delete_abandoned(found)
        lock(file, operation)  # type: ignore[arg-type] # a file

    monkeypatch.setattr(fcntl, "flock", another_starts_first)
    with Workplace() as place:
        assert place.instances.is_dir()


def test_what_a_killed_one_left_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workplace, "shared_parent", lambda: tmp_path)
    dead = Workplace()
    dead._lock.close()  # as its end does
    with Workplace() as place:
        assert not dead.folder.exists()
        with Workplace():
            assert place.folder.exists()
