"""The id of a release: where it comes from, and what changes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.core.release_id import WRITTEN, content_id, release_id, write_release
from fastopp.features.errors.models import MAX_RELEASE
from fastopp.settings import load_settings

NOWHERE = Path("/nonexistent/.env")
PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}
IMAGE = "registry.fly.io/shop:deployment-01K2"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "main.py": "app = 1\n",
        "pyproject.toml": '[project]\nversion = "1.2.3"\n',
        "shop/models.py": "",
        "shop/templates/page.html": "<p>",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def found(project: Path, **variables: str) -> str:
    return release_id(load_settings(PRODUCTION | variables, env_file=NOWHERE), project)


def test_the_first_that_is_known(project: Path) -> None:
    assert found(project) == "1.2.3"
    written = write_release(project)
    assert found(project) == written == content_id(project)
    assert found(project, FLY_IMAGE_REF=IMAGE) == "deployment-01K2"
    assert found(project, FLY_IMAGE_REF="registry.fly.io/shop@sha256:0af") == "sha256:0af"
    assert found(project, FLY_IMAGE_REF=IMAGE, RELEASE="r7") == "r7"
    local = load_settings({}, env_file=NOWHERE)
    assert release_id(local, project) == "1.2.3"  # what an earlier build wrote is not what runs here
    assert len(found(project, RELEASE="r" * 100)) == MAX_RELEASE


def test_there_may_be_none(tmp_path: Path) -> None:
    assert found(tmp_path) == ""
    (tmp_path / "pyproject.toml").write_text("[project]\nversion = 3\n")
    assert found(tmp_path) == ""


@pytest.mark.parametrize("name", ["main.py", "shop/templates/page.html", "shop/new.py", "requirements.txt"])
def test_code_changes_it(project: Path, name: str) -> None:
    before = content_id(project)
    (project / name).write_text("another\n")
    assert content_id(project) != before


def test_a_name_changes_it(project: Path) -> None:
    before = content_id(project)
    (project / "shop/models.py").rename(project / "shop/others.py")
    assert content_id(project) != before


@pytest.mark.parametrize(
    "name",
    [
        "__pycache__/main.cpython-311.py",
        ".env.leapcell",
        ".venv/lib/a.py",
        "shop.egg-info/SOURCES.txt",
        "static/app.css",
        "static/app.css.gz",
        "static/uploads/a.html",
        "backups/clean/b.py",
        "test.db",
    ],
)
def test_what_a_build_or_a_machine_adds_does_not(project: Path, name: str) -> None:
    before = content_id(project)
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("generated\n")
    assert content_id(project) == before


def test_a_copy_has_the_same(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    copy = tmp_path_factory.mktemp("copy")
    for file in sorted(project.rglob("*"), reverse=True):
        if file.is_file():
            (copy / file.relative_to(project)).parent.mkdir(parents=True, exist_ok=True)
            (copy / file.relative_to(project)).write_bytes(file.read_bytes())
    write_release(project)
    assert content_id(copy) == content_id(project)
    assert (project / WRITTEN).read_text() == content_id(copy)
