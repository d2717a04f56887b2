"""`leapcell capacity` as a command, and what `--apply` writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fastopp.cli import oppman
from leapcell_emulator.capacity.advice import Advice
from leapcell_emulator.capacity.apply import CannotApply, plan_changes
from leapcell_emulator.cli import app
from leapcell_emulator.errors import EmulatorError

WORDS = ("--processor", "0.03", "--cold-start", "1", "--visits-per-hour", "500", "--queries", "2", "--p95", "0.5")
FLY_TOML = """\
app = "shop" # the name

[http_service]
  # A stopped machine works no tasks.
  min_machines_running = 0 # for now

  [http_service.concurrency]
    type = "requests"
    soft_limit = 50
    hard_limit = 200
"""
MANIFEST = "# ours\nruntime: python\nstartCommand: uvicorn main:app --port 8080\nmemory: 512mb # enough\nport: 8080\n"


def advice(**values: int) -> list[Advice]:
    return [Advice(key=key, value=value, why="") for key, value in values.items()]


def project(folder: Path) -> Path:
    (folder / "leapcell.yaml").write_text(MANIFEST)
    (folder / ".env.leapcell").write_text("SECRET_KEY=hidden\nDB_POOL_SIZE=2 # a few\nOTHER=1\n")
    (folder / "fly.toml").write_text(FLY_TOML)
    return folder


def test_known_keys_are_changed_and_all_else_is_kept(tmp_path: Path) -> None:
    found = advice(memory=256, pool=3, async_workers=4, min_machines_running=1, soft_limit=20, hard_limit=200)
    changes = plan_changes(project(tmp_path), found, pool_setting="DB_POOL_SIZE")
    for change in changes:
        change.write()
    assert (tmp_path / "leapcell.yaml").read_text() == MANIFEST.replace("512mb", "256mb")
    assert (tmp_path / ".env.leapcell").read_text() == "SECRET_KEY=hidden\nDB_POOL_SIZE=3 # a few\nOTHER=1\n"
    changed = FLY_TOML.replace("running = 0", "running = 1").replace("soft_limit = 50", "soft_limit = 20")
    assert (tmp_path / "fly.toml").read_text() == changed
    assert "hidden" not in "".join(change.diff() for change in changes)
    assert "-memory: 512mb # enough\n+memory: 256mb # enough" in changes[0].diff()
    assert plan_changes(tmp_path, found, pool_setting="DB_POOL_SIZE") == []


def test_files_that_are_not_there_are_not_made(tmp_path: Path) -> None:
    assert plan_changes(tmp_path, advice(memory=256, pool=3, soft_limit=5), pool_setting="DB_POOL_SIZE") == []


def test_what_is_missing_in_a_file_is_added(tmp_path: Path) -> None:
    (tmp_path / "leapcell.yaml").write_text("startCommand: x")
    (tmp_path / ".env.leapcell").write_text("")
    (tmp_path / "fly.toml").write_text("[http_service]\ninternal_port = 8080\n")
    for change in plan_changes(tmp_path, advice(memory=256, pool=3, soft_limit=5), pool_setting="DB_POOL_SIZE"):
        change.write()
    assert (tmp_path / "leapcell.yaml").read_text() == "startCommand: x\nmemory: 256mb\n"
    assert (tmp_path / ".env.leapcell").read_text() == "DB_POOL_SIZE=3\n"
    assert "[http_service.concurrency]\nsoft_limit = 5" in (tmp_path / "fly.toml").read_text()


@pytest.mark.parametrize("text", ["[http_service", "app = 1", "http_service = 3"])
def test_a_fly_toml_that_cannot_be_changed(text: str, tmp_path: Path) -> None:
    (tmp_path / "fly.toml").write_text(text)
    with pytest.raises(CannotApply, match="no \\[http_service\\]"):
        plan_changes(tmp_path, advice(soft_limit=5))


def test_a_manifest_that_is_written_as_json(tmp_path: Path) -> None:
    (tmp_path / "leapcell.yaml").write_text('{"startCommand": "x", "memory": "512mb"}')
    with pytest.raises(EmulatorError, match="not YAML"):
        plan_changes(tmp_path, advice(memory=256))


def test_the_command(tmp_path: Path) -> None:
    folder = project(tmp_path)
    done = CliRunner().invoke(app, ["capacity", *WORDS, "--folder", str(folder), "--json"])
    report: dict[str, Any] = json.loads(done.output)
    assert [(row["visits_per_hour"], row["regions"]) for row in report["loads"]] == [(500.0, 1), (500.0, 3)]
    assert report["first"]["name"] in ("concurrent requests", "p95")
    keys = {each["key"]: each["value"] for each in report["advice"]}
    assert {"memory", "pool", "soft_limit", "hard_limit", "min_machines_running"} <= keys.keys()
    words = ["capacity", *WORDS, "--folder", str(folder), "--apply"]
    refused = CliRunner().invoke(oppman.app, words, input="n\n")
    assert refused.exit_code == 1
    assert (folder / "leapcell.yaml").read_text() == MANIFEST
    done = CliRunner().invoke(oppman.app, [*words, "--yes"])
    assert done.exit_code == 0, done.output
    for word in ("Breaks first", "First to break: ", "Advice for 500 visits/h", "Assumed:", "+DB_POOL_SIZE="):
        assert word in done.output
    assert f"memory: {keys['memory']}mb" in (folder / "leapcell.yaml").read_text()


def test_without_measurements_it_is_refused() -> None:
    done = CliRunner().invoke(app, ["capacity"])
    assert done.exit_code == 1
    assert "Nothing says how long a request takes" in done.output
