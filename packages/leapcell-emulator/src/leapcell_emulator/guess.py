"""Guess a project's settings from its files, where neither leapcell.yaml nor an option has them.

LeapCell keeps them in the dashboard, which fills in the usual commands of a framework. A guess names what it is from,
and is printed; `--save-manifest` keeps it.
"""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

DOCKER: Final = "docker"
_LARGEST: Final = 256 * 1024  # bytes of a file that is read
_ASGI: Final = ("FastAPI", "Starlette", "Litestar", "Quart", "Sanic", "BlackSheep")
_WSGI: Final = ("Flask", "Bottle", "Falcon")
# Where applications usually are, in the order of likelihood.
_MODULES: Final = ("main", "app", "server", "wsgi", "asgi", "application", "index", "run", "api", "bot")
_FOLDERS: Final = ("", "app", "src", "api", "backend", "server")


@dataclass(slots=True)
class Guess:
    """Keys of leapcell.yaml that the files suggest, and for each the file that does."""

    keys: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, key: str, value: str, reason: str) -> None:
        """Note a key, unless it is known already."""
        if value and key not in self.keys:
            self.keys[key] = value
            self.reasons[key] = reason


def guess(folder: Path, runtime: str = "") -> Guess:
    """Guess from the files of a folder. `runtime`: what is known already; empty: that is guessed too."""
    found = Guess()
    if command := _procfile(folder):
        found.add("startCommand", command, "Procfile")
    kinds = {"python": _python, "node": _node, "javascript": _node, "go": _go, "rust": _rust}
    if runtime:
        kinds.get(runtime, _nothing)(folder, found)
        return found
    marks = {
        "python": ("requirements.txt", "pyproject.toml", "manage.py", "uv.lock"),
        "node": ("package.json",),
        "go": ("go.mod",),
        "rust": ("Cargo.toml",),
    }
    for kind, names in marks.items():
        if mark := next((name for name in names if (folder / name).is_file()), None):
            found.add("runtime", kind, mark)
            kinds[kind](folder, found)
            return found
    _python(folder, found)  # a lone main.py
    if "startCommand" in found.keys:
        found.add("runtime", "python", found.reasons["startCommand"])
    return found


def dockerfile_hint(folder: Path | None = None) -> str:
    """Return how to run a project with a Dockerfile without it, with the command that the Dockerfile ends in."""
    command = "…"
    for line in _read(folder / "Dockerfile").splitlines() if folder else []:
        if match := re.match(r"\s*CMD\s+(.+)", line, re.IGNORECASE):
            command = match[1].strip()
            if command.startswith("["):
                try:
                    command = " ".join(map(str, json.loads(command)))
                except ValueError:
                    command = "…"
    return (
        f"Describe it without: --runtime python --build-command '…' --start-command '{command}', or with these keys in "
        "leapcell.yaml."
    )


def _nothing(_folder: Path, _found: Guess) -> None:
    """For a runtime that is not known here."""


def _procfile(folder: Path) -> str:
    match = re.search(r"^web:\s*(.+)$", _read(folder / "Procfile"), re.MULTILINE)
    return match[1].strip() if match else ""


def _python(folder: Path, found: Guess) -> None:
    needed = "".join(_read(path) for path in (*folder.glob("requirements*.txt"), folder / "pyproject.toml"))
    requirements = next(
        (path.name for path in sorted(folder.glob("requirements*.txt"), key=lambda path: len(path.name))), ""
    )
    if requirements:
        found.add("buildCommand", f"pip install -r {requirements}", requirements)
    elif (folder / "pyproject.toml").is_file():
        build = "pip install ." if _is_package(folder) else "pip install uv && uv pip install -r pyproject.toml"
        found.add("buildCommand", build, "pyproject.toml")
    has_gunicorn = re.search(r"^\W*gunicorn", needed, re.MULTILINE | re.IGNORECASE) is not None
    if (folder / "manage.py").is_file():
        for path in sorted(folder.glob("*/wsgi.py")):
            server = f"gunicorn --bind 0.0.0.0:8080 {path.parent.name}.wsgi"
            plain = "python manage.py runserver --noreload 0.0.0.0:8080"
            found.add("startCommand", server if has_gunicorn else plain, f"manage.py and {path.parent.name}/wsgi.py")
    for path in _modules(folder):
        module = ".".join(path.relative_to(folder).with_suffix("").parts)
        _python_module(module, path, found, has_gunicorn=has_gunicorn)


def _modules(folder: Path) -> Iterator[Path]:
    for below in _FOLDERS:
        for name in _MODULES:
            path = folder / below / f"{name}.py"
            if path.is_file():
                yield path
    yield from sorted(folder.glob("*.py"))


def _python_module(module: str, path: Path, found: Guess, *, has_gunicorn: bool) -> None:
    """Guess from one module: an application of a known framework in it, or a program."""
    text = _read(path)
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    where = str(Path(*module.split("."))) + ".py"
    for node in tree.body:
        if not (isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call)):
            continue
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        kind = ast.unparse(node.value.func).rpartition(".")[2]
        if not isinstance(target, ast.Name):
            continue
        name = f"{module}:{target.id}"
        if kind in _ASGI:
            found.add("startCommand", f"uvicorn {name} --host 0.0.0.0 --port 8080", f"{kind} in {where}")
        elif kind in _WSGI and has_gunicorn:
            found.add("startCommand", f"gunicorn --bind 0.0.0.0:8080 {name}", f"{kind} in {where}")
        elif kind == "Flask":
            found.add("startCommand", f"flask --app {name} run --host 0.0.0.0 --port 8080", f"{kind} in {where}")
    if re.search(r"^import streamlit|^from streamlit", text, re.MULTILINE):
        command = f"streamlit run {where} --server.address 0.0.0.0 --server.port 8080 --server.headless true"
        found.add("startCommand", command, f"streamlit in {where}")
    if re.search(r"^if __name__ == ['\"]__main__['\"]", text, re.MULTILINE):
        found.add("startCommand", f"python {where}", f"the program {where}")


def _is_package(folder: Path) -> bool:
    try:
        return "build-system" in tomllib.loads(_read(folder / "pyproject.toml"))
    except tomllib.TOMLDecodeError:
        return False


def _node(folder: Path, found: Guess) -> None:
    try:
        package = json.loads(_read(folder / "package.json") or "{}")
        scripts = dict(package.get("scripts") or {})
        main = str(package.get("main") or "")
    except (ValueError, TypeError, AttributeError, RecursionError):
        return
    lock = next((name for name in ("package-lock.json", "npm-shrinkwrap.json") if (folder / name).is_file()), "")
    build = "npm ci" if lock else "npm install"
    if "build" in scripts:
        build += " && npm run build"
    if (folder / "package.json").is_file():
        found.add("buildCommand", build, lock or "package.json")
    if "start" in scripts:
        found.add("startCommand", "npm start", "the script start in package.json")
    for name in (main, "server.js", "index.js", "app.js", "main.js"):
        if name and (folder / name).is_file():
            found.add("startCommand", f"node {name}", name)


def _go(folder: Path, found: Guess) -> None:
    if (folder / "go.mod").is_file():
        found.add("buildCommand", "go build -o app .", "go.mod")
        found.add("startCommand", "./app", "go.mod")


def _rust(folder: Path, found: Guess) -> None:
    try:
        name = tomllib.loads(_read(folder / "Cargo.toml")).get("package", {}).get("name", "")
    except tomllib.TOMLDecodeError:
        return
    if name:
        found.add("buildCommand", "cargo build --release", "Cargo.toml")
        found.add("startCommand", f"./target/release/{name}", "Cargo.toml")


def _read(path: Path) -> str:
    """The beginning of a file; empty: there is none."""
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode(errors="replace")
    except OSError:
        return ""
