"""`oppman.py clean` moves FastOpp's own files away."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

from fastopp.cli.clean import FASTOPPS_OWN, clean

ROOT = Path(__file__).parents[2]


def test_no_page_about_fastopp_stays() -> None:
    assert {page.name for page in ROOT.glob("*.md")} <= set(FASTOPPS_OWN)
    assert FASTOPPS_OWN[-1] == "README.md", "an interrupted clean goes on while README.md is FastOpp's"


def test_the_projects_tests_take_the_place_of_fastopps(tmp_path: Path) -> None:
    for name in ("main.py", "pyproject.toml", "README.md", "script/test", "tests/conftest.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    before = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    backup = clean(tmp_path, name="Shop", author="", description="Sells books.")
    after = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert before["tool"].keys() - after["tool"].keys() == {"pytest"}, "made for FastOpp's own tests"
    assert {path.name for path in (tmp_path / "tests").iterdir()} == {"__init__.py", "test_project.py"}
    assert "-m pytest" in (tmp_path / "script/test").read_text()
    assert (tmp_path / ".github/workflows/tests.yml").is_file()
    assert (backup / "script/test").read_bytes() == (ROOT / "script/test").read_bytes()
    assert (backup / "tests/conftest.py").is_file()
