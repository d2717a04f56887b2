"""`check`, `leapcell check` and `leapcell build` in a project of their own, as somebody at a shell runs them."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
import venv
from pathlib import Path

import pytest

from fastopp.console.main_file import remove_apps
from tests.services.checks_project import GOOD
from tests.services.site import copy_project, environment, run_command, succeed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that is ready for LeapCell."""
    folder = copy_project(tmp_path_factory.mktemp("checks") / "project")
    (folder / "uv.lock").write_bytes((ROOT / "uv.lock").read_bytes())
    options = [
        (f"--{name.lower().replace('_', '-')}", value)
        for name, value in GOOD.items()
        if name.startswith(("DATABASE", "S3", "LEAPCELL"))
    ]
    succeed(folder, "oppman.py", "leapcell", "init", "--yes", *(word for option in options for word in option))
    return folder


def test_a_new_project_is_fine(project: Path) -> None:
    said = succeed(project, "oppman.py", "check")
    assert said.splitlines()[-1].endswith("checks: nothing found.")
    assert "\x1b" not in said


def test_leapcell(project: Path) -> None:
    found = json.loads(succeed(project, "oppman.py", "leapcell", "check", "--measure", "--json", "--skip", "E121"))
    unchecked = {each["id"] for each in found["unchecked"]}
    assert [finding["id"] for finding in found["findings"]] == ["fastopp.I406"]
    assert unchecked == {"fastopp.E326"}, "no package index is asked in a test"
    assert found["platform"] == "leapcell"


def test_the_shell_has_no_say_where_there_is_a_file(project: Path) -> None:
    done = run_command(project, "oppman.py", "leapcell", "check", "--skip", "E121", environ={"SECRET_KEY": "changeme"})
    assert done.returncode == 0, done.stdout


def test_findings_and_status(project: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.env"
    wrong.write_text("SECRET_KEY=changeme\nENVIRONMENT=production\nDATABASE_URL=nix\n")
    words = ["oppman.py", "check", "--env-file", str(wrong), "--skip", "E121"]
    done = run_command(project, *words)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("error fastopp.E001  SECRET_KEY:")
    assert lines[2].strip() == "docs/checks.md#fastoppe001"
    assert [line for line in lines if line.startswith("not checked  The settings are invalid.")]
    assert "2 errors" in lines[-1]
    assert "changeme" not in done.stdout
    assert run_command(project, *words, "--skip", "E001", "--skip", "E101").returncode == 0


def test_fail_level(project: Path, tmp_path: Path) -> None:
    loud = tmp_path / "loud.env"
    loud.write_text(f"SECRET_KEY={GOOD['SECRET_KEY']}\nENVIRONMENT=production\nDEBUG=true\n")
    words = ["oppman.py", "check", "--env-file", str(loud), "--skip", "E121"]
    assert run_command(project, *words).returncode == 0
    assert run_command(project, *words, "--fail-level", "warning").returncode == 1


def test_live(project: Path, tmp_path: Path) -> None:
    done = run_command(
        project,
        "oppman.py",
        "check",
        "--live",
        "--skip",
        "E121",
        environ={"DATABASE_URL": f"sqlite:///{tmp_path}/x.db"},
    )
    assert done.returncode == 1
    assert "fastopp.E123" in done.stdout


def test_misuse(project: Path) -> None:
    done = run_command(project, "oppman.py", "leapcell", "check", "--env-file", "missing.env")
    assert done.returncode == 2
    assert "missing.env" in done.stderr


def small_project(folder: Path) -> Path:
    """A project with a part of the demo: each check reads all that a project has."""
    project = copy_project(folder / "project")
    remove_apps(project / "main.py", ["demo.pages", "demo.webinars", "demo.design", "demo.chat"])
    return project


def test_models_without_a_migration(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    models = project / "demo/products/models.py"
    text = models.read_text()
    models.write_text(
        text.replace('__tablename__ = "products"', '__tablename__ = "products"\n    colour: str | None = None')
    )
    assert models.read_text() != text
    done = run_command(project, "oppman.py", "check")
    assert done.returncode == 1
    assert "fastopp.E121" in done.stdout
    assert "colour" in done.stdout
    assert not (project / "test.db").exists(), "nothing of the project is touched"


def test_a_broken_migration(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    last = max((project / "alembic/versions").glob("*.py"))
    last.write_text(
        last.read_text().replace("def upgrade() -> None:", "def upgrade() -> None:\n    raise ValueError('soup')")
    )
    done = run_command(project, "oppman.py", "check")
    assert done.returncode == 1
    assert "fail on a new database" in done.stdout


def test_a_migration_that_is_not_committed(tmp_path: Path) -> None:
    project = small_project(tmp_path)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    words = ["oppman.py", "check", "--skip", "E121", "--fail-level", "warning"]
    assert run_command(project, *words).returncode == 0
    (project / "alembic/versions/0099_new.py").write_text("")
    done = run_command(project, *words)
    assert done.returncode == 1
    assert "0099_new.py is not committed" in done.stdout


def test_build(project: Path, tmp_path: Path) -> None:
    """In an environment with one package, which also finds those of the tests: these are not compiled for a test."""
    venv.create(tmp_path / "venv", symlinks=True)
    packages = next((tmp_path / "venv/lib").glob("python*")) / "site-packages"
    (packages / "tomato.py").write_text("")
    (packages / "potato.py").write_text("def {{ name }}():")  # a template, which no Python reads
    (packages / "tests.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    done = subprocess.run(
        [tmp_path / "venv/bin/python", "oppman.py", "leapcell", "build", "--no-install"],
        cwd=project,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    assert "Compiled byte code and" in said
    assert "static files are compressed" in said
    assert "checks: nothing found." in said
    assert [path.name.split(".")[0] for path in (packages / "__pycache__").iterdir()] == ["tomato"]
    assert list((project / "demo/chat/static/chat/__pycache__").glob("*.gz"))
    assert list((project / "demo/chat/__pycache__").glob("*.pyc"))


def test_a_build_that_must_not_be_deployed(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    done = run_command(project, "oppman.py", "leapcell", "build", "--no-install")
    assert done.returncode == 1
    assert "fastopp.E301" in done.stdout
    assert "fastopp.E101" not in done.stdout, "a build may lack the settings"
    done = run_command(project, "oppman.py", "leapcell", "build")
    assert done.returncode == 1
    assert "requirements.txt" in done.stderr


def test_a_project_that_is_not_fastopps(tmp_path: Path) -> None:
    """No settings are asked for, and no file of FastOpp's."""
    (tmp_path / "app.py").write_text("import multiprocessing\n\nqueue = multiprocessing.Queue()\n")
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv/other.py").write_text("this is not Python")
    (tmp_path / "requirements.txt").write_text("flask\n")
    (tmp_path / "leapcell.yaml").write_text(
        "runtime: python\nbuildCommand: pip install -r requirements.txt && python -m compileall -q .\n"
        "startCommand: gunicorn -b :8080 app:app\nport: 8080\n"
    )
    words = ["-m", "fastopp.cli.main", "check", "--skip", "E326"]
    said = succeed(tmp_path, *words)
    assert "app.py:3 uses multiprocessing.Queue" in said
    assert "1 warning" in said
    assert "SECRET_KEY" not in said
    (tmp_path / "requirements.txt").unlink()
    (tmp_path / "leapcell.yaml").write_text("runtime: javascript\nstartCommand: node server.js -p 8080\nport: 8080\n")
    done = run_command(tmp_path, *words)
    assert done.returncode == 0, "a Node project has no requirements.txt"
    (tmp_path / "leapcell.yaml").unlink()
    done = run_command(tmp_path, *words)
    assert done.returncode == 1
    assert "fastopp.E301" in done.stdout
    assert "oppman.py" not in done.stdout
    assert "startCommand: uvicorn" in done.stdout
    done = run_command(tmp_path, *words, "--live")
    assert (done.returncode, "FastOpp project" in done.stderr) == (2, True)


def test_checks_that_could_not_run_have_found_nothing_out(project: Path, tmp_path: Path) -> None:
    """Without a database the other settings are judged all the same."""
    (tmp_path / "empty.env").write_text(f"SECRET_KEY={GOOD['SECRET_KEY']}\nEMERGENCY_ACCESS_ENABLED=1\n")
    words = ["--env-file", str(tmp_path / "empty.env"), "--skip", "E101", "--skip", "W202", "--skip", "E121"]
    lines = succeed(project, "oppman.py", "leapcell", "check", *words).splitlines()
    (unchecked,) = [line for line in lines if line.startswith("not checked  DATABASE_URL is missing or invalid.")]
    assert unchecked.endswith("(fastopp.E102, fastopp.E103, fastopp.W104)")
    assert not [line for line in lines if "The settings are invalid" in line]
    assert "warning fastopp.W003" in "".join(lines)
    assert "warning fastopp.W004" in "".join(lines)
    assert re.fullmatch(r"\d+ of \d+ checks ran: 3 warnings\. 4 checks could not run: see above\.", lines[-1])
