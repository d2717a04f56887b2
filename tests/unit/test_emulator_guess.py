"""What a project's files say about its settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leapcell_emulator.guess import guess
from leapcell_emulator.manifest import ManifestError, read_manifest, save_manifest

FASTAPI = "from fastapi import FastAPI\napp = FastAPI()\n"
FLASK = "import flask\nsite: flask.Flask = flask.Flask(__name__)\n"
PACKAGE = {"scripts": {"start": "node server.js", "build": "tsc"}}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "runtime", "build", "start"),
    [
        (
            {"main.py": FASTAPI, "requirements.txt": "fastapi"},
            "python",
            "pip install -r requirements.txt",
            "uvicorn main:app --host 0.0.0.0 --port 8080",
        ),
        ({"app/main.py": FASTAPI}, "python", None, "uvicorn app.main:app --host 0.0.0.0 --port 8080"),
        (
            {"app.py": FLASK, "requirements.txt": "flask\ngunicorn==23"},
            "python",
            "pip install -r requirements.txt",
            "gunicorn --bind 0.0.0.0:8080 app:site",
        ),
        ({"app.py": FLASK}, "python", None, "flask --app app:site run --host 0.0.0.0 --port 8080"),
        (
            {"manage.py": "", "shop/wsgi.py": "", "requirements.txt": "django"},
            "python",
            "pip install -r requirements.txt",
            "python manage.py runserver --noreload 0.0.0.0:8080",
        ),
        (
            {"main.py": "if __name__ == '__main__':\n    pass", "pyproject.toml": "[project]\nname='x'"},
            "python",
            "pip install uv && uv pip install -r pyproject.toml",
            "python main.py",
        ),
        (
            {"Procfile": "worker: celery\nweb: gunicorn x:y\n", "requirements.txt": "", "main.py": FASTAPI},
            "python",
            "pip install -r requirements.txt",
            "gunicorn x:y",
        ),
        (
            {"package.json": json.dumps(PACKAGE), "package-lock.json": "{}"},
            "node",
            "npm ci && npm run build",
            "npm start",
        ),
        ({"package.json": '{"main": "web.js"}', "web.js": ""}, "node", "npm install", "node web.js"),
        ({"go.mod": "module x"}, "go", "go build -o app .", "./app"),
        ({"Cargo.toml": "[package]\nname='x'"}, "rust", "cargo build --release", "./target/release/x"),
    ],
)
def test_a_project_without_a_manifest(
    files: dict[str, str], runtime: str, build: str | None, start: str, tmp_path: Path
) -> None:
    found = guess(write(tmp_path, files))
    assert found.keys.get("runtime") == runtime
    assert found.keys.get("buildCommand") == build
    assert found.keys["startCommand"] == start
    assert set(found.reasons) == set(found.keys)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"index.html": ""},
        {"main.py": "def (", "requirements.txt": ""},
        {"package.json": "[]"},
        {"package.json": "{"},
        {"package.json": '{"scripts": 5}'},
        {"Cargo.toml": "["},
        {"main.py": "\0"},
    ],
)
def test_files_that_show_nothing(files: dict[str, str], tmp_path: Path) -> None:
    assert "startCommand" not in guess(write(tmp_path, files)).keys
    with pytest.raises(ManifestError, match=r"There is no leapcell\.yaml .* do not show how to start it"):
        read_manifest(tmp_path)


def test_settings_replace_the_file_and_the_rest_is_guessed(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": FASTAPI, "requirements.txt": "fastapi"})
    manifest = read_manifest(tmp_path, {"memory": "1gb", "buildCommand": "true"})
    assert (manifest.memory, manifest.build_command) == (1024, "true")
    assert manifest.guessed == (
        "runtime: python (requirements.txt)",
        "startCommand: uvicorn main:app --host 0.0.0.0 --port 8080 (FastAPI in main.py)",
    )
    write(tmp_path, {"leapcell.yaml": "memory: 256mb\nstartCommand: a"})
    manifest = read_manifest(tmp_path, {"startCommand": "b"})
    assert (manifest.start_command, manifest.memory, manifest.guessed) == ("b", 256, ())


def test_beside_a_file_without_commands_both_are_guessed(tmp_path: Path) -> None:
    """Then the dashboard holds them. With a start command in it, the file says that nothing is built."""
    write(tmp_path, {"package.json": json.dumps(PACKAGE), "leapcell.yaml": "runtime: node\nport: 3000"})
    manifest = read_manifest(tmp_path)
    assert (manifest.start_command, manifest.port) == ("npm start", 3000)
    assert manifest.build_command == "npm install && npm run build"
    write(tmp_path, {"leapcell.yaml": "runtime: node\nstartCommand: npm start"})
    assert read_manifest(tmp_path).build_command == ""


def test_a_manifest_in_another_platforms_form(tmp_path: Path) -> None:
    """Its keys are named, and the commands guessed."""
    text = "runtime: python3.11\nbuild: {commands: [pip install x]}\nrun: {command: uvicorn main:app}"
    write(tmp_path, {"leapcell.yaml": text})
    with pytest.raises(ManifestError) as refused:
        read_manifest(tmp_path)
    assert "the key build does nothing. Did you mean buildCommand?" in (refused.value.hint or "")
    write(tmp_path, {"main.py": FASTAPI})
    manifest = read_manifest(tmp_path)
    assert (manifest.runtime, manifest.start_command) == ("python", "uvicorn main:app --host 0.0.0.0 --port 8080")
    assert len(manifest.warnings) == 3


def test_the_guess_is_saved_once(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": FASTAPI})
    manifest = read_manifest(tmp_path)
    path = save_manifest(manifest, tmp_path)
    again = read_manifest(tmp_path)
    assert again.as_keys() == manifest.as_keys()
    assert again.guessed == ()
    with pytest.raises(ManifestError, match="exists already"):
        save_manifest(manifest, tmp_path)
    assert path.read_text().startswith("runtime: python\nstartCommand: uvicorn main:app")


@pytest.mark.parametrize("manifest", [None, "runtime: docker\nport: 8080"])
@pytest.mark.parametrize("command", ['CMD ["gunicorn", "x:y"]', "cmd gunicorn x:y", "CMD [broken"])
def test_a_dockerfile_is_answered_with_how_to_do_without(manifest: str | None, command: str, tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile": f"FROM python\nCMD early\n{command}\n"})
    if manifest:
        write(tmp_path, {"leapcell.yaml": manifest})
    with pytest.raises(ManifestError, match="from its Dockerfile, which the emulator cannot") as refused:
        read_manifest(tmp_path)
    told = "…" if "broken" in command else "gunicorn x:y"
    assert f"--start-command '{told}'" in str(refused.value.hint)
    if manifest:
        assert read_manifest(tmp_path, {"runtime": "python", "startCommand": "a"}).start_command == "a"
