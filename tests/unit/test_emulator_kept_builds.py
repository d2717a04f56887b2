"""Builds that are kept: found again, replaced, and deleted when no emulator uses them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from leapcell_emulator import kept_builds
from leapcell_emulator.kept_builds import KEPT, LONGEST, KeptBuilds

Open = Callable[[], KeptBuilds]


@pytest.fixture
def open_builds(tmp_path: Path) -> Iterator[Open]:
    """Make users of one folder, which are closed at the end."""
    made: list[KeptBuilds] = []

    def make() -> KeptBuilds:
        made.append(KeptBuilds(tmp_path / "builds"))
        return made[-1]

    yield make
    for builds in made:
        builds.close()


def keep(builds: KeptBuilds, key: str) -> Path:
    layer = builds.begin()
    layer.mkdir()
    (layer / "file").write_text(key)
    return builds.keep(layer, key)


def test_a_build_is_found_by_its_key(open_builds: Open) -> None:
    builds = open_builds()
    assert builds.find("a") is None
    layer = keep(builds, "a")
    found = open_builds().find("a")
    assert found is not None
    assert found[0] == layer
    assert found[1] < 60
    assert (layer / "file").read_text() == "a"
    assert builds.find("b") is None


def test_an_old_one_is_made_again(open_builds: Open) -> None:
    builds = open_builds()
    layer = keep(builds, "a")
    old = time.time() - LONGEST - 1
    os.utime(layer, (old, old))
    assert builds.find("a") is None
    builds.close()
    again = keep(open_builds(), "a")
    assert again == layer
    assert time.time() - layer.stat().st_mtime < 60


def test_the_least_used_go_but_not_while_they_are_used(open_builds: Open) -> None:
    user, other = open_builds(), open_builds()
    used = keep(user, "used")
    os.utime(used.parent, (1, 1))
    for number in range(KEPT + 2):
        layer = keep(other, f"k{number}")
        os.utime(layer.parent, (time.time() - 1000 + number,) * 2)
        other.close()
    assert used.is_dir()
    user.close()
    assert not used.exists()
    assert len(list(other.folder.iterdir())) == KEPT


def test_two_that_build_the_same_both_have_it(open_builds: Open) -> None:
    first, second = open_builds(), open_builds()
    layer = keep(first, "a")
    mine = keep(second, "a")
    assert mine != layer
    assert (mine / "file").read_text() == (layer / "file").read_text() == "a"


def test_what_was_not_finished_goes(open_builds: Open) -> None:
    builds = open_builds()
    layer = builds.begin()
    (layer / "usr.work" / "work").mkdir(parents=True)
    (layer / "usr.work" / "work").chmod(0)
    builds.discard(layer)
    assert list(builds.folder.iterdir()) == []


def test_the_folder_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    assert kept_builds.default_folder() == Path("/x/leapcell-emulator/builds")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert kept_builds.default_folder() == Path.home() / ".cache/leapcell-emulator/builds"
