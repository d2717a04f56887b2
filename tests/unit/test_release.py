"""A release: what `script/build` checks before it builds, and who may publish."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import fastopp
import leapcell_emulator

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github/workflows/release.yml"

# uv: the version of a package is in a file with the package's name.
UV = """\
#!/bin/sh
case $1 in
    version) for package; do :; done; cat "$package" ;;
    build) mkdir dist && touch dist/built ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of version 1.2.0, whose change log has that version, and what an earlier build left."""
    (tmp_path / "script").mkdir()
    for name in ("build", "environment"):
        shutil.copy(ROOT / "script" / name, tmp_path / "script")
    for name, text in {"bin/uv": UV, ".venv/bin/python": "#!/bin/sh\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/old").touch()
    for name in ("fastopp", "leapcell-emulator"):
        (tmp_path / name).write_text("1.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2027-01-02\n")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in ("UV_PROJECT_ENVIRONMENT", "FASTOPP_WHEELS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def build(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([project / "script/build", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [(), ("v1.2.0",)])
def test_a_build_replaces_the_one_before(project: Path, arguments: tuple[str, ...]) -> None:
    answer = build(project, *arguments)
    assert answer.returncode == 0, answer.stderr
    assert [path.name for path in (project / "dist").iterdir()] == ["built"]


@pytest.mark.parametrize("tag", ["v1.2.1", "1.2.0", "v1.2.0rc1", ""])
def test_a_tag_that_is_not_the_version_builds_nothing(project: Path, tag: str) -> None:
    answer = build(project, tag)
    assert answer.returncode == 1
    assert answer.stderr.startswith(f"The tag is {tag}, but the version of fastopp is 1.2.0.")
    assert [path.name for path in (project / "dist").iterdir()] == ["old"]


def test_both_versions_have_to_be_the_tag(project: Path) -> None:
    (project / "leapcell-emulator").write_text("1.1.0\n")
    answer = build(project, "v1.2.0")
    assert answer.returncode == 1
    assert answer.stderr.startswith("The tag is v1.2.0, but the version of leapcell-emulator is 1.1.0.")
    assert [path.name for path in (project / "dist").iterdir()] == ["old"]


def test_a_version_that_the_change_log_lacks_builds_nothing(project: Path) -> None:
    (project / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [1.2.0rc1] - 2027-01-01\n")
    answer = build(project, "v1.2.0")
    assert answer.returncode == 1
    assert answer.stderr.startswith('CHANGELOG.md has no section "## [1.2.0] - DATE".')
    assert [path.name for path in (project / "dist").iterdir()] == ["old"]


def test_the_version_is_the_same_everywhere() -> None:
    locked = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    versions = {package["name"]: package.get("version") for package in locked}
    for folder, package in ((ROOT, fastopp), (ROOT / "packages/leapcell-emulator", leapcell_emulator)):
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        assert project["version"] == versions[project["name"]] == package.__version__ == fastopp.__version__
        assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_extra_asks_for_the_emulator_of_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["optional-dependencies"]["emulator"] == [f"leapcell-emulator>={fastopp.__version__}"]


def jobs() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]
    return found


def test_only_the_job_that_publishes_can_prove_who_it_is() -> None:
    permissions = {name: job["permissions"] for name, job in jobs().items()}
    assert permissions.pop("publish") == {"id-token": "write"}
    assert all(allowed == {"contents": "read"} for allowed in permissions.values())


def test_nothing_is_published_before_the_gate_and_the_wheel_have_passed() -> None:
    publish = jobs()["publish"]
    assert set(publish["needs"]) == {"gate", "test"}
    assert jobs()["test"]["needs"] == "build"
    assert publish["environment"] == "pypi"


def test_the_job_that_publishes_runs_no_code_of_the_repository() -> None:
    steps = [step.get("uses", step.get("run", "")) for step in jobs()["publish"]["steps"]]
    assert [step for step in steps if "checkout" in step or "script/" in step] == []
    assert "--require-hashes" in steps[-2]
    assert steps[-1].startswith("uv publish --trusted-publishing always")
