"""`leapcell init` and `fly init`: what they write, and what they leave alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from fastopp.cli.oppman import app
from fastopp.features.deployment.deploy_files import hide_from_git, project_name
from fastopp.features.leapcell import init as leapcell
from fastopp.platforms.leapcell_manifest import read_manifest
from fastopp.settings import load_settings, read_variables
from tests.services import docker_replay
from tests.services.checks_project import LOCK, REQUIREMENTS, context, make_project
from tests.services.checks_project import run as run_check

ROOT = Path(__file__).parents[2]
URL = "postgresql://u:pa#ss@9x.leapcellpool.com:6438/d?sslmode=require"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_project(tmp_path / "project")
    for name in ("leapcell.yaml", "requirements.txt"):
        (folder / name).unlink()
    monkeypatch.chdir(folder)
    return folder


def run(*words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == status, result.output
    return result


def init(*words: str, status: int = 0) -> Result:
    return run("leapcell", "init", *words, status=status)


def variables(folder: Path) -> dict[str, str]:
    return read_variables({}, env_file=folder / ".env.leapcell")[1]


def test_this_repository_has_what_init_writes(project: Path) -> None:
    """leapcell.yaml and the requirements files are written from one place, and follow the lock."""
    (project / "uv.lock").write_bytes((ROOT / "uv.lock").read_bytes())
    init("--yes", "--github")
    for name in ("leapcell.yaml", "requirements.txt", "requirements-unhashed.txt", ".github/workflows/leapcell.yml"):
        assert (ROOT / name).read_text() == (project / name).read_text(), f"delete {name}, run oppman.py leapcell init"


def test_leapcell_init(project: Path) -> None:
    said = init("--yes", "--database-url", URL, "--s3-bucket", "b", "--memory", "1024").output
    assert read_manifest(project).memory == 1024
    assert (project / "requirements.txt").read_text().endswith(REQUIREMENTS)
    written = variables(project)
    assert written["DATABASE_URL"] == URL
    assert written["S3_BUCKET"] == "b"
    assert len({written["SECRET_KEY"], written["OPS_TOKEN"], ""}) == 3
    assert "S3_ACCESS_KEY" not in written
    assert (project / ".env.leapcell").stat().st_mode & 0o777 == 0o600
    assert (project / "leapcell.yaml").stat().st_mode & 0o777 == 0o644
    assert ".env.leapcell" in (project / ".gitignore").read_text()
    assert written["SECRET_KEY"] not in said
    assert "pa#ss" not in said


def test_the_workflow_that_monitors(project: Path) -> None:
    said = init("--yes", "--monitor").output
    assert ".github/workflows/monitor.yml lists at its top" in said
    assert not (project / ".github/workflows/leapcell.yml").exists()
    text = (project / ".github/workflows/monitor.yml").read_text()
    assert "status --alert" in text
    assert {"run": "pip install -r requirements.txt"} in yaml.safe_load(text)["jobs"]["status"]["steps"]


def test_what_is_written_is_valid(project: Path) -> None:
    init("--yes", "--database-url", URL)
    settings = load_settings({}, env_file=project / ".env.leapcell")
    assert settings.platform.name == "leapcell"
    assert settings.database.password == "pa#ss"
    init("--yes", "--force", "--database-url", URL, "--s3-bucket", "b", "--s3-access-key", "k", "--s3-secret-key", "s")
    assert load_settings({}, env_file=project / ".env.leapcell").has_object_storage


def test_again_changes_nothing(project: Path) -> None:
    init("--yes", "--database-url", URL)
    before = {name: (project / name).read_bytes() for name in ("leapcell.yaml", "requirements.txt", ".env.leapcell")}
    said = init("--yes").output
    assert said.count("is up to date") == 3
    assert before == {name: (project / name).read_bytes() for name in before}


def test_nothing_is_overwritten_without_asking(project: Path) -> None:
    (project / "leapcell.yaml").write_text("mine: true\n")
    (project / ".env.leapcell").write_text(f"SECRET_KEY={'k' * 20}{'q' * 20}\nMY_OWN=1\n")
    said = init("--yes", "--database-url", URL).output
    assert "leapcell.yaml exists with other content and is kept" in said
    assert (project / "leapcell.yaml").read_text() == "mine: true\n"
    assert "DATABASE_URL" not in variables(project)
    init("--yes", "--force", "--database-url", URL)
    assert variables(project)["MY_OWN"] == "1", "what somebody has added stays"
    assert variables(project)["SECRET_KEY"] == "k" * 20 + "q" * 20, "nobody is signed out"
    assert variables(project)["DATABASE_URL"] == URL
    assert read_manifest(project).port == 8080


def test_nobody_to_ask(project: Path) -> None:
    assert "--yes" in init(status=2).output
    assert not (project / "leapcell.yaml").exists()


@pytest.mark.parametrize("url", ["nix", "sqlite:///a.db", "mysql://h/d", "postgresql://u:it's@h/d"])
def test_a_wrong_database_url(project: Path, url: str) -> None:
    assert "--database-url" in init("--yes", "--database-url", url, status=2).output
    assert not (project / ".env.leapcell").exists()


def test_asking(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"DATABASE_URL": ["nix", URL], "S3_BUCKET": [""], "SUPERUSER_EMAIL": ["me@example.com"]}
    asked: list[str] = []

    def prompt(text: str, *, default: str, **_: object) -> str:
        name = text.partition(" ")[0]
        asked.append(name)
        return answers[name].pop(0) if name in answers else default

    monkeypatch.setattr(typer, "prompt", prompt)
    known = {"S3_ACCESS_KEY": "kept"}
    found = leapcell.complete(known, ask=True, asked=list(leapcell.ASKED))
    assert found["DATABASE_URL"] == URL
    assert found["SUPERUSER_EMAIL"] == "me@example.com"
    assert found["S3_ACCESS_KEY"] == "kept"
    assert asked.count("DATABASE_URL") == 2
    assert "\nS3_BUCKET" not in leapcell.env_text(found)


def test_without_a_lock(project: Path) -> None:
    (project / "uv.lock").unlink()
    assert "uv.lock" in init("--yes", status=1).output
    (project / "pyproject.toml").write_text('[project]\nname = "s"\ndependencies = ["fastopp>=0.5"]\n')
    init("--yes")
    assert (project / "requirements.txt").read_text().endswith("\nfastopp>=0.5\n")


def test_not_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (("leapcell", "init", "--yes"), ("fly", "init", "--yes")):
        assert "main.py" in run(*words, status=1).output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "*.db", "*.db\n", ".env.*\n", ".env.leapcell\n"])
def test_gitignore(tmp_path: Path, text: str) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(text)
    hide_from_git(tmp_path, ".env.leapcell")
    (tmp_path / ".env.leapcell").write_text("secret")
    (tmp_path / "a.db").write_text("")
    seen = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ".env.leapcell" not in seen.stdout
    assert ("a.db" in seen.stdout) == ("*.db" not in text)


def test_fly_init(project: Path) -> None:
    run("fly", "init", "--yes", "--region", "ams")
    content = tomllib.loads((project / "fly.toml").read_text())
    assert content["app"] == "project"
    assert content["primary_region"] == "ams"
    assert content["mounts"] == [{"source": "data", "destination": "/data"}]
    assert content["env"]["DATABASE_URL"] == "sqlite:////data/app.db"
    assert content["env"]["UPLOAD_DIR"] == "/data/uploads"
    assert content["env"]["PORT"] == str(content["http_service"]["internal_port"])
    assert content["http_service"]["checks"][0]["path"] == "/healthz"
    assert content["http_service"]["auto_stop_machines"] == "stop"
    assert 5 < int(content["kill_timeout"].removesuffix("s")) <= 300
    assert "deploy" not in content, "a release machine has no volume"
    settings = load_settings({**content["env"], "FLY_APP_NAME": "x", "SECRET_KEY": "k3y-" + "abcdefghijklm" * 3})
    assert settings.database.database == "/data/app.db"
    dockerfile = (project / "Dockerfile").read_text()
    assert "FROM python:3.12-slim" in dockerfile, "the newest that the lock allows"
    assert 'CMD ["python", "oppman.py", "production", "--migrate"]' in dockerfile
    assert dockerfile.index("python oppman.py compile") < dockerfile.index("USER app") < dockerfile.index("CMD")
    assert dockerfile.index("COPY requirements.txt") < dockerfile.index("COPY . .")
    ignored = set((project / ".dockerignore").read_text().splitlines())
    assert {"**/.env", "**/.env.*", "**/*.db", ".uv", "tests", "benchmarks", "docs"} <= ignored
    assert (project / "requirements.txt").is_file()


def test_the_documented_backups_leave_the_volume_and_old_ones_go() -> None:
    text = (ROOT / "docs/deploy/fly.md").read_text()
    commands = re.findall(r"oppman\.py backup(.*)'\"", text)
    assert commands == [" --upload --keep 7", " /tmp/shop.fastopp.gz"]
    assert "fly ssh sftp get /tmp/shop.fastopp.gz" in text
    assert "-mtime +30 -delete" in text


def test_fly_init_says_what_to_do_next_without_secrets_among_arguments(project: Path) -> None:
    said = run("fly", "init", "--yes").output
    assert "fly secrets import < .env.fly" in said
    assert "secrets set" not in said


def commands(project: Path) -> list[str]:
    """The lines of the Dockerfile that copy and install."""
    lines = (project / "Dockerfile").read_text().splitlines()
    return [line for line in lines if line.startswith(("COPY", "RUN pip", "RUN sed"))]


def test_fly_installs_hashed_requirements_before_the_project(project: Path) -> None:
    """The layer of the requirements is kept when only the project changes."""
    (project / "uv.lock").write_text(LOCK.replace("{ virtual", "{ editable"))
    run("fly", "init", "--yes")
    assert commands(project) == [
        "COPY requirements.txt requirements-unhashed.txt ./",
        "RUN pip install --no-cache-dir --no-deps -r requirements.txt",
        "COPY . .",
        "RUN pip install --no-cache-dir --no-deps -r requirements-unhashed.txt",
    ]
    assert (project / "requirements.txt").read_text().endswith(REQUIREMENTS)
    assert (project / "requirements-unhashed.txt").read_text().endswith("\n.\n")


def test_a_change_of_the_code_leaves_the_layers_of_the_requirements(project: Path, tmp_path: Path) -> None:
    """And what is in the image, as .dockerignore says."""
    (project / "uv.lock").write_text(LOCK.replace("{ virtual", "{ editable"))
    run("fly", "init", "--yes")
    for name in (
        ".uv/python",
        "tests/test_a.py",
        "docs/a.md",
        "shop/.env",
        "shop/.env.local",
        "shop/a.db",
        "shop/a.db-wal",
    ):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("")
    before = docker_replay.build(project, tmp_path / "before", {}, run=False)
    (project / "shop/routes.py").write_text("# another line\n")
    after = docker_replay.build(project, tmp_path / "after", {}, run=False)
    assert before.kept_by(after)[-1] == "RUN pip install --no-cache-dir --no-deps -r requirements.txt"
    files = {path.relative_to(after.folder).as_posix() for path in after.folder.rglob("*") if path.is_file()}
    assert files == {
        ".dockerignore", "Dockerfile", "fly.toml", "main.py", "oppman.py", "requirements.txt",
        "requirements-unhashed.txt", "shop/__init__.py", "shop/routes.py", "uv.lock",
    }  # fmt: skip


def test_wheels_in_the_project_are_copied_first(project: Path) -> None:
    registry = 'source = { registry = "https://pypi.org/simple" }'
    (project / "uv.lock").write_text(LOCK.replace(registry, 'source = { path = "wheels/a.whl" }', 1))
    run("fly", "init", "--yes")
    assert commands(project) == [
        "COPY requirements.txt ./",
        "COPY wheels wheels",
        "RUN pip install --no-cache-dir -r requirements.txt",
        "COPY . .",
    ]


def test_requirements_that_end_in_the_project_itself_are_installed_in_a_layer_before_it(project: Path) -> None:
    """A file that was written by hand, or before there was a second one."""
    (project / "requirements.txt").write_text("--find-links ./wheels\n./wheels/b-1.0-py3-none-any.whl[x]\na==1\n.\n")
    run("fly", "init", "--yes")
    copy, wheels, first, code, second = commands(project)
    assert (copy, wheels, code) == ("COPY requirements.txt ./", "COPY wheels wheels", "COPY . .")
    assert second == "RUN pip install --no-cache-dir -r requirements.txt"
    filtering, _, install = first.removeprefix("RUN ").partition(" && ")
    subprocess.run(filtering, shell=True, cwd=project, check=True)
    left = "--find-links ./wheels\n./wheels/b-1.0-py3-none-any.whl[x]\na==1\n"
    assert (project / "packages-requirements.txt").read_text() == left
    assert install == "pip install --no-cache-dir -r packages-requirements.txt"


def test_an_app_is_in_the_image_whatever_its_name(project: Path) -> None:
    (project / "docs").mkdir()
    (project / "main.py").write_text('from fastopp import FastOpp\n\napp = FastOpp(apps=["docs"])\n')
    run("fly", "init", "--yes")
    assert {"tests", "benchmarks"} <= set((project / ".dockerignore").read_text().splitlines())
    assert "docs" not in (project / ".dockerignore").read_text().splitlines()


@pytest.mark.parametrize(
    ("pin", "requires", "minor"),
    [
        (None, ">=3.11", 14),
        (None, ">=3.11, <3.13", 12),
        ("3.13", ">=3.11", 13),
        ("cpython-3.12.4-linux-x86_64-gnu", ">=3.11", 12),
        ("# for CI\n>=3.11,<3.14", ">=3.11", 13),
    ],
)
def test_the_newest_python_that_the_project_allows(project: Path, pin: str | None, requires: str, minor: int) -> None:
    (project / "uv.lock").write_text(LOCK.replace(">=3.11, <3.13", requires))
    if pin:
        (project / ".python-version").write_text(f"{pin}\n")
    run("fly", "init", "--yes")
    assert f"FROM python:3.{minor}-slim" in (project / "Dockerfile").read_text()


def test_a_python_without_wheels_is_not_the_newest(project: Path) -> None:
    lock = LOCK.replace(">=3.11, <3.13", ">=3.11").replace(
        "tomato-1.0-py3-none-any", "tomato-1.0-cp313-cp313-linux_x86_64"
    )
    (project / "uv.lock").write_text(lock)
    run("fly", "init", "--yes")
    assert "FROM python:3.13-slim" in (project / "Dockerfile").read_text()


def test_wheels_that_uv_has_built_are_kept_in_git(project: Path) -> None:
    (project / "wheels").mkdir()
    (project / "wheels/.gitignore").write_text("*")
    assert "Deleted wheels/.gitignore" in init("--yes").output
    assert not (project / "wheels/.gitignore").exists()
    (project / "wheels/.gitignore").write_text("*.tmp\n")
    init("--yes")
    assert (project / "wheels/.gitignore").exists(), "it is the user's"


def test_a_wheel_in_the_project_is_required_by_its_path(project: Path) -> None:
    (project / "uv.lock").unlink()
    declared = '"FastOpp[emulator]>=0.5", "tomato>=2", "chili"'
    (project / "pyproject.toml").write_text(f'[project]\nname = "s"\ndependencies = [{declared}]\n')
    (project / "wheels").mkdir()
    for name in ("fastopp-0.4-py3-none-any.whl", "fastopp-0.5.0-py3-none-any.whl", "tomato-1.0-py3-none-any.whl",
                 "leapcell_emulator-0.5.0-py3-none-any.whl"):  # fmt: skip
        (project / "wheels" / name).write_bytes(b"")
    said = init("--yes", "--github").output
    assert (
        (project / "requirements.txt")
        .read_text()
        .endswith("\n--find-links ./wheels\n./wheels/fastopp-0.5.0-py3-none-any.whl[emulator]\ntomato>=2\nchili\n")
    )
    workflow = (project / ".github/workflows/leapcell.yml").read_text()
    assert "- run: pip install ./wheels/leapcell_emulator-0.5.0-py3-none-any.whl #" in workflow
    assert "git add leapcell.yaml requirements.txt wheels" in said
    assert run_check("E322", context(project)) == []


def test_leapcell_installs_both_files(project: Path) -> None:
    init("--yes", "--github")
    assert not (project / "requirements-unhashed.txt").exists()
    before = {name: (project / name).read_text() for name in ("leapcell.yaml", ".github/workflows/leapcell.yml")}
    assert not [name for name, text in before.items() if "requirements-unhashed.txt" in text]
    (project / "uv.lock").write_text(LOCK.replace("{ virtual", "{ editable"))
    said = init("--yes", "--github").output
    assert "git add leapcell.yaml requirements.txt requirements-unhashed.txt" in said
    for name, text in before.items():
        assert f"{name} does not install requirements-unhashed.txt" in said
        assert (project / name).read_text() == text
    said = init("--yes", "--github", "--force").output
    assert "does not install" not in said
    both = "pip install --no-deps -r requirements.txt && pip install --no-deps -r requirements-unhashed.txt"
    for name in before:
        assert both in (project / name).read_text()


@pytest.mark.parametrize(
    ("source", "installed"),
    [
        (None, "leapcell-emulator"),
        ('{ registry = "https://pypi.org/simple" }', "leapcell-emulator==0.5.0"),
        ('{ editable = "packages/leapcell-emulator" }', "./packages/leapcell-emulator"),
        (
            '{ path = "wheels/leapcell_emulator-0.5.0-py3-none-any.whl" }',
            "./wheels/leapcell_emulator-0.5.0-py3-none-any.whl",
        ),
        ('{ git = "https://git.example/e?branch=main#70a0" }', "'leapcell-emulator @ git+https://git.example/e@70a0'"),
    ],
)
def test_the_workflow_installs_the_emulator_of_the_lock(project: Path, source: str | None, installed: str) -> None:
    """It may be a development dependency, and a service never installs it."""
    if source:
        package = f'\n[[package]]\nname = "leapcell-emulator"\nversion = "0.5.0"\nsource = {source}\n'
        (project / "uv.lock").write_text(LOCK + package)
    init("--yes", "--github")
    assert f"- run: pip install {installed} #" in (project / ".github/workflows/leapcell.yml").read_text()
    assert "emulator" not in (project / "requirements.txt").read_text()


def test_the_workflow_of_this_project_is_what_init_writes(project: Path) -> None:
    name = ".github/workflows/leapcell.yml"
    shutil.copy(ROOT / "uv.lock", project)
    init("--yes", "--github")
    assert (project / name).read_text() == (ROOT / name).read_text()


def test_fly_names_a_dockerfile_that_installs_the_first_file_only(project: Path) -> None:
    (project / "uv.lock").write_text(LOCK.replace("{ virtual", "{ editable"))
    (project / "Dockerfile").write_text("COPY . .\nRUN pip install -r requirements.txt\n")
    assert "Dockerfile does not install requirements-unhashed.txt" in run("fly", "init", "--yes").output


@pytest.mark.parametrize("words", [("--name", 'a"b'), ("--region", "x\ny"), ("--name", "UPPER")])
def test_names_that_fly_does_not_take(project: Path, words: tuple[str, str]) -> None:
    run("fly", "init", "--yes", *words, status=2)
    assert not (project / "fly.toml").exists()


def test_fly_leaves_what_is_there(project: Path) -> None:
    (project / "Dockerfile").write_text("FROM mine\n")
    assert "Dockerfile exists with other content" in run("fly", "init", "--yes").output
    assert (project / "Dockerfile").read_text() == "FROM mine\n"
    run("fly", "init", "--yes", "--force")
    assert "FROM python" in (project / "Dockerfile").read_text()


def test_project_name(tmp_path: Path) -> None:
    (tmp_path / "My Shop!").mkdir()
    assert project_name(tmp_path / "My Shop!") == "my-shop"
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "Über_Shop"\n')
    assert project_name(tmp_path) == "ber-shop"
