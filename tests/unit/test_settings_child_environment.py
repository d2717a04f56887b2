"""Programs that FastOpp or the emulator starts get no secret of the service's. Exceptions are listed with a reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from fastopp.features.css import compiling
from fastopp.features.deployment.checks import requirement_files
from fastopp.features.shell import commands
from fastopp.settings.child_environment import GIT, INSTALLERS, machine_environment, without_settings
from leapcell_emulator import environment, image
from tests.services import checks_project as checks

ROOT = Path(__file__).parents[2]
FRAMEWORK, EMULATOR = ROOT / "src/fastopp", ROOT / "packages/leapcell-emulator/src/leapcell_emulator"
SECRETS = ("SECRET_KEY", "DATABASE_URL", "OPS_TOKEN", "S3_SECRET_KEY", "BACKUP_KEY")
CANARY = "canary-of-this-test"

READS_THE_ENVIRONMENT = {
    "settings/loading.py": "the settings",
    "platforms/detection.py": "the platform, before there are settings",
    "authority.py": "XDG_STATE_HOME alone",
    "command.py": "`--exec` runs the developer's own command, as their shell would",
    "environment.py": "what the emulator's own programs get",
    "image.py": "PATH alone",
    "interpreters.py": "PYENV_ROOT alone",
    "kept_builds.py": "XDG_CACHE_HOME alone",
    "tools.py": "RUSTUP_HOME alone",
    "services/rclone.py": "PATH alone",
}
INHERITS = {
    "features/leapcell/build.py": "installs packages like `pip install` in a build command, which has it all too",
    "services/keeper.py": "has what the emulator gave the keeper",
    "launcher.py": "becomes the project's command, with the instance's variables",
}
STARTS = {"run", "Popen", "call", "check_call", "check_output", "create_subprocess_exec", "create_subprocess_shell"}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """Each call of something that starts a program."""
    for name, call, node in attributes():
        if call and isinstance(node.value, ast.Name):
            starts = node.attr in STARTS and node.value.id in ("subprocess", "asyncio") and call.args
            if (starts and ast.unparse(node) != "asyncio.run") or (node.value.id, node.attr[:4]) == ("os", "exec"):
                yield name, call


@cache
def attributes() -> list[tuple[str, ast.Call | None, ast.Attribute]]:
    """Each attribute that a module names, as in `os.environ`, and the call if it is called."""
    found: list[tuple[str, ast.Call | None, ast.Attribute]] = []
    for folder in (FRAMEWORK, EMULATOR):
        for path in folder.rglob("*.py"):
            name = path.relative_to(folder).as_posix()
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
            called = {id(node.func): node for node in nodes if isinstance(node, ast.Call)}
            found += [(name, called.get(id(node)), node) for node in nodes if isinstance(node, ast.Attribute)]
    return found


def test_each_program_is_given_its_variables() -> None:
    without = {name for name, call in calls() if "env" not in {each.arg for each in call.keywords}}
    assert without == set(INHERITS)


def test_the_environment_is_read_in_few_places() -> None:
    reads = {
        name for name, _, node in attributes() if node.attr in ("environ", "getenv") and ast.unparse(node.value) == "os"
    }
    assert reads == set(READS_THE_ENVIRONMENT)


def test_what_a_program_needs() -> None:
    given = {"PATH": "/bin", "LC_ALL": "C", "https_proxy": "p", "PIP_INDEX_URL": "i", "INDEX_LOGIN": "l", "UV": "u"}
    environ = given | dict.fromkeys(SECRETS, CANARY) | {"AWS_SECRET_ACCESS_KEY": CANARY, "OPENROUTER_API_KEY": CANARY}
    assert set(machine_environment(environ=environ)) == {"PATH", "LC_ALL", "https_proxy"}
    assert set(machine_environment(*INSTALLERS, *GIT, names=["INDEX_LOGIN"], environ=environ)) == given.keys() - {"UV"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, secrets in the environment, and programs that write their variables to a file."""
    project = checks.make_project(tmp_path / "project")
    (project / ".git").mkdir()
    (project / "alembic/versions").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    for name in ("git", "uv", "psql", "sqlite3", "tailwind"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nenv >> "{tmp_path}/seen"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    for name in (*SECRETS, "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, CANARY)
    return project


def seen(project: Path) -> str:
    text = (project.parent / "seen").read_text()
    assert f"PATH={project.parent}/bin" in text
    return text


async def test_checks_tell_no_secret(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INDEX_LOGIN", "me:login")
    with (project / "requirements.txt").open("a") as file:
        file.write("--extra-index-url https://${INDEX_LOGIN}@index.example/simple\n")
    assert await checks.run_async("E326", checks.context(project)) == []
    assert "INDEX_LOGIN=me:login" in seen(project), "pip and uv put it into the line"
    await checks.run_async("W122", checks.context(project))
    requirement_files._is_ignored(project, project / "wheels")
    image._git(project, "ls-files")
    monkeypatch.setattr(compiling, "find_tailwind", lambda: str(project.parent / "bin/tailwind"))
    compiling._tailwind("")
    assert CANARY not in seen(project)


def test_the_shell_of_the_database_gets_what_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", CANARY)
    monkeypatch.setenv("PSQLRC", "mine")
    monkeypatch.setenv("EDITOR", "vi")
    given = commands._client_environment()
    assert (given.get("PSQLRC"), given.get("EDITOR"), given.get("SECRET_KEY")) == ("mine", "vi", None)


def test_services_of_the_emulator_are_told_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGPORT", "RCLONE_CONFIG", *SECRETS):
        monkeypatch.setenv(name, CANARY)
    assert "PATH" in environment.machine_environment()
    assert CANARY not in environment.machine_environment().values()


def test_a_project_in_a_trial_has_variables_of_its_own_but_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code is the developer's, and may read what it likes; `adopt` and `check` try it with a new database."""
    for name in (*SECRETS, "database_dsn", "STRIPE_KEY"):
        monkeypatch.setenv(name, CANARY)
    assert {name for name, value in without_settings().items() if value == CANARY} == {"STRIPE_KEY"}
