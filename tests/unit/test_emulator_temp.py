"""`emulator.temp`: an instance's /tmp is counted and emptied, and its mount points stay."""

from __future__ import annotations

from pathlib import Path

from leapcell_emulator.temp import empty, usage


def test_only_files_count(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "a/b/file")
    assert usage(tmp_path) == (1, 5)


def test_all_goes_but_the_way_to_a_mount_point(tmp_path: Path) -> None:
    point = tmp_path / "x/clone/.venv"
    for folder in (point, tmp_path / "x/clone/other", tmp_path / "x/more", tmp_path / "y/z"):
        folder.mkdir(parents=True)
        (folder.parent / "file").touch()
    (tmp_path / "link").symlink_to(point)
    (tmp_path / "archive.zip").touch()
    empty(tmp_path, [point, tmp_path / "archive.zip"])
    assert set(tmp_path.rglob("*")) == {
        tmp_path / "x", tmp_path / "x/clone", point, tmp_path / "archive.zip",
    }  # fmt: skip


def test_a_link_to_elsewhere_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").touch()
    (tmp_path / "temp").mkdir()
    (tmp_path / "temp/link").symlink_to(tmp_path / "kept")
    empty(tmp_path / "temp", [tmp_path / "temp/link/file"])
    assert list((tmp_path / "temp").iterdir()) == []
    assert (tmp_path / "kept/file").exists()
