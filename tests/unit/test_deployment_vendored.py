"""Wheels of installed distributions that no package index has."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fastopp.features.deployment.vendored import find_wheels, vendor
from tests.services import tiny_backend


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site-packages with a shop of this machine, which needs a tomato of this machine and a chili of an index."""
    folder = tmp_path / "site-packages"
    for name, needs, origin in (
        ("shop-sells", ["tomato>=1 ; extra == 'salad'", "chili"], {"url": "file:///shop", "dir_info": {}}),
        ("tomato", [], {"url": "file:///tomato-1.0-py3-none-any.whl", "archive_info": {}}),
        ("chili", [], None),
        ("edited", [], {"url": "file:///edited", "dir_info": {"editable": True}}),
    ):
        install(folder, name.replace("-", "_"), needs, origin)
    monkeypatch.syspath_prepend(folder)
    return folder


def install(folder: Path, name: str, needs: list[str], origin: dict[str, object] | None) -> None:
    """Unpack a wheel as pip does."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(tiny_backend.write_wheel(folder.parent, name, "1.0")) as archive:
        archive.extractall(folder)
    info = folder / f"{name}-1.0.dist-info"
    with (info / "METADATA").open("a") as file:
        file.writelines(f"Requires-Dist: {line}\n" for line in needs)
    (info / "INSTALLER").write_text("pip\n")
    (folder / "__pycache__").mkdir(exist_ok=True)
    (folder / f"__pycache__/{name}.pyc").write_bytes(b"")
    if origin:
        (info / "direct_url.json").write_text(json.dumps(origin))
    lines = (info / "RECORD").read_text()
    programs = f"../../bin/{name},,\n__pycache__/{name}.pyc,,\n"
    (info / "RECORD").write_text(f"{lines}{programs}{info.name}/INSTALLER,,\n{info.name}/direct_url.json,,\n")


def test_what_was_installed_from_this_machine_is_packed(installed: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    vendor(project, ["Shop.Sells", "edited", "absent"])
    wheels = find_wheels(project)
    assert {name: path.as_posix() for name, path in wheels.items()} == {
        "shop-sells": "wheels/shop_sells-1.0-py3-none-any.whl",
        "tomato": "wheels/tomato-1.0-py3-none-any.whl",
    }
    with zipfile.ZipFile(project / wheels["shop-sells"]) as archive:
        assert set(archive.namelist()) == {
            "shop_sells.py",
            *(f"shop_sells-1.0.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD")),
        }
        record = archive.read("shop_sells-1.0.dist-info/RECORD").decode()
        assert record.startswith("shop_sells-1.0.dist-info/METADATA,sha256=")
        assert record.endswith("shop_sells-1.0.dist-info/RECORD,,\n")


def test_packed_again_it_is_the_same_file(installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = tmp_path / "project"
    project.mkdir()
    vendor(project, ["tomato"])
    before = (project / "wheels/tomato-1.0-py3-none-any.whl").read_bytes()
    vendor(project, ["tomato"])
    assert (project / "wheels/tomato-1.0-py3-none-any.whl").read_bytes() == before
    assert "is up to date" in capsys.readouterr().out


def test_a_packed_wheel_can_be_imported(installed: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    vendor(project, ["tomato"])
    code = "import tomato; print(tomato.__file__)"
    environ = {"PYTHONPATH": str(project / "wheels/tomato-1.0-py3-none-any.whl")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert "tomato-1.0-py3-none-any.whl" in done.stdout
