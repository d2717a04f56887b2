"""`oppman.py files` as somebody at a shell or a script runs it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.site import copy_project, run_command, succeed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = copy_project(tmp_path / "project")
    for number in range(5):
        path = project / "static" / "uploads" / "photos" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(number))
    return project


@pytest.fixture
def environ(rclone: RcloneServer) -> dict[str, str]:
    keys = {"S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "S3_BUCKET": rclone.create_bucket()}
    return keys | {"S3_ENDPOINT_URL": rclone.endpoint}


def test_there_and_back(project: Path, environ: dict[str, str], rclone: RcloneServer) -> None:
    photos = project / "static" / "uploads" / "photos"
    done = run_command(project, "oppman.py", "files", "verify", environ=environ)
    assert done.returncode == 1
    assert "+ photos/0.jpg" in done.stdout

    assert "5 files backed up" in succeed(project, "oppman.py", "files", "backup", environ=environ)
    report = json.loads(succeed(project, "oppman.py", "files", "backup", "--json", environ=environ))
    assert (report["status"], report["copied"], report["skipped"]) == ("success", 0, 5)
    assert "Both sides are the same" in succeed(project, "oppman.py", "files", "verify", environ=environ)

    (photos / "4.jpg").unlink()
    (photos / "1.jpg").write_bytes(b"2")
    done = run_command(project, "oppman.py", "files", "verify", environ=environ)
    assert (done.returncode, done.stdout.splitlines()[:2]) == (1, ["* photos/1.jpg", "- photos/4.jpg"])
    succeed(project, "oppman.py", "files", "restore", "--overwrite", environ=environ)
    assert "Both sides are the same" in succeed(project, "oppman.py", "files", "verify", environ=environ)

    facts = json.loads(succeed(project, "oppman.py", "files", "status", "--json", environ=environ))
    assert (facts["folder"]["files"], facts["object_storage"]["files"]) == (5, 5)
    assert facts["object_storage"]["bytes"] == 10
    assert "bucket" in succeed(project, "oppman.py", "files", "status", environ=environ)


def test_names_are_printed_as_they_are(project: Path, environ: dict[str, str]) -> None:
    uploads = project / "static" / "uploads"
    (uploads / ":heart:.jpg").write_bytes(b"1")
    (uploads / "two\nlines \x1b[2J").write_bytes(b"2")
    done = succeed(project, "oppman.py", "files", "backup", environ=environ)
    assert done.splitlines()[0].startswith("left out  two\\nlines \\x1b[2J: ")
    (uploads / ":heart:.jpg").unlink()
    assert "- :heart:.jpg" in run_command(project, "oppman.py", "files", "verify", environ=environ).stdout.splitlines()


def test_where_uploads_live_in_the_object_storage(project: Path, environ: dict[str, str], rclone: RcloneServer) -> None:
    environ["STORAGE_TYPE"] = "s3"
    done = run_command(project, "oppman.py", "files", "verify", environ=environ)
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, "+ photos/0.jpg")  # the bucket has not what is here
    succeed(project, "oppman.py", "files", "backup", environ=environ)
    for path in (project / "static" / "uploads" / "photos").iterdir():
        path.unlink()
    said = succeed(project, "oppman.py", "files", "verify", environ=environ)
    assert "has 5 files: 0 with the same content in the cache, 5 not cached" in " ".join(said.split())
    facts = json.loads(succeed(project, "oppman.py", "files", "status", "--json", environ=environ))
    assert (facts["folder"]["files"], facts["cache"]["files"], facts["object_storage"]["files"]) == (0, 0, 5)
    assert "cache" in succeed(project, "oppman.py", "files", "status", environ=environ)


def test_pruning_asks_first(project: Path, environ: dict[str, str], rclone: RcloneServer) -> None:
    photos = project / "static" / "uploads" / "photos"
    stored = rclone.bucket(environ["S3_BUCKET"]) / "photos"
    succeed(project, "oppman.py", "files", "backup", environ=environ)
    (photos / "4.jpg").unlink()
    done = run_command(project, "oppman.py", "files", "backup", "--prune", environ=environ)
    assert done.returncode == 1
    assert "to delete  photos/4.jpg" in done.stdout
    assert "--yes" in done.stderr
    assert (stored / "4.jpg").exists()
    report = json.loads(succeed(project, "oppman.py", "files", "backup", "--prune", "--yes", "--json", environ=environ))
    assert report["pruned"] == ["photos/4.jpg"]
    assert not (stored / "4.jpg").exists()

    (photos / "mine.jpg").write_bytes(b"x")
    said = succeed(project, "oppman.py", "files", "restore", "--prune", "--yes", environ=environ)
    assert "to delete  photos/mine.jpg" in said
    assert "1 file deleted" in said
    assert not (photos / "mine.jpg").exists()

    for path in photos.iterdir():
        path.unlink()
    done = run_command(project, "oppman.py", "files", "backup", "--prune", "--yes", environ=environ)
    assert done.returncode == 1  # an empty folder is no reason to empty the Object Storage
    assert len(list(stored.iterdir())) == 4


def test_without_object_storage(project: Path) -> None:
    for command in ("backup", "restore", "verify"):
        done = run_command(project, "oppman.py", "files", command)
        assert done.returncode == 1
        assert "S3_ACCESS_KEY" in done.stderr
        assert "Traceback" not in done.stderr


def test_status_without_object_storage(project: Path) -> None:
    """No table is there yet, so nothing says which files are claimed."""
    facts = json.loads(succeed(project, "oppman.py", "files", "status", "--json"))
    assert facts["folder"]["files"] == 5
    assert "object_storage" not in facts
    assert "migrate" in facts["unclaimed"]["unknown"]
    assert "cannot be listed" in succeed(project, "oppman.py", "files", "status")


def test_files_that_no_row_names_are_deleted_on_request_only(project: Path) -> None:
    succeed(project, "oppdemo.py", "init")
    photos = project / "static" / "uploads" / "photos"

    def names() -> set[str]:
        return {path.name for path in photos.iterdir()}

    def make_old() -> None:
        for path in photos.iterdir():
            os.utime(path, (1, 1))

    own, everything = {f"{number}.jpg" for number in range(5)}, names()
    assert len(everything) == 10
    make_old()
    assert "0 files removed" in succeed(project, "oppman.py", "files", "clean")
    succeed(project, "oppdemo.py", "init")
    succeed(project, "oppdemo.py", "destroy", "--yes")
    assert "0 files removed" in succeed(project, "oppman.py", "files", "clean")
    facts = json.loads(succeed(project, "oppman.py", "files", "status", "--json"))
    assert {key.removeprefix("photos/") for key in facts["unclaimed"]["keys"]} == everything
    succeed(project, "oppdemo.py", "restore")
    assert names() == everything

    said = succeed(project, "oppman.py", "files", "status")
    assert {line.split("/")[-1] for line in said.splitlines() if line.startswith("unclaimed ")} == own
    refused = run_command(project, "oppman.py", "files", "clean", "--unclaimed")
    assert (refused.returncode, "--yes" in refused.stderr) == (1, True)
    assert names() == everything
    assert "5 files removed" in succeed(project, "oppman.py", "files", "clean", "--unclaimed", "--yes")
    assert names() == everything - own


def test_clean(project: Path) -> None:
    succeed(project, "oppdemo.py", "init")
    half = project / "static" / "uploads" / "photos" / ".incoming-0123"
    half.write_bytes(b"x")
    os.utime(half, (0, 0))
    for number in range(5):
        os.utime(half.parent / f"{number}.jpg", (0, 0))
    assert "removed" in succeed(project, "oppman.py", "files", "clean")
    assert not half.exists()


def test_an_error_is_said_once(project: Path, environ: dict[str, str]) -> None:
    done = run_command(project, "oppman.py", "files", "status", environ=environ | {"S3_BUCKET": "not-there"})
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "The Object Storage has no bucket named “not-there”.",
        "Set S3_BUCKET to the name that the dashboard shows, and S3_ENDPOINT_URL to the service it is in.",
    ]
