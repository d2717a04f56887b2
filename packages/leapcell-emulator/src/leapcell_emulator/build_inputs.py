"""The files that a build command reads, as far as that is certain: what may be used again is decided by them.

Only commands that install dependencies are known, with the files that they read. The first other command and all that
follows it run in every deployment.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# A requirement that is a name, with extras, versions and markers: no path and no address.
_NAMED: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[\w,. -]*\])?\s*([<>=!~;@ ].*)?$")
_LOCAL: Final = re.compile(r"(^|\s|@)(\.{1,2}|/|file:|-e\b|--editable)|\.(whl|zip|tar\.gz)\b")
_PIP_VALUES: Final = ("-i", "--index-url", "--extra-index-url", "--timeout", "--retries", "--python")
_NODE_FILES: Final = ("package.json", "package-lock.json", "npm-shrinkwrap.json", ".npmrc", "yarn.lock", ".yarnrc.yml")
_NODE_FILES_PNPM: Final = ("pnpm-lock.yaml", "pnpm-workspace.yaml", ".pnpmfile.cjs")
# Scripts of a package that npm runs after installing, and that may read anything.
_HOOKS: Final = ("preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare")
_UNKNOWN: Final = "\0"
_DEPTH: Final = 10  # requirements files that include others


@dataclass(frozen=True, slots=True)
class Plan:
    """A build command in two: what can be used again, and the rest."""

    known: str
    inputs: tuple[str, ...]
    """The files that `known` reads, those too that are missing."""
    rest: str


def plan(command: str, project: Path) -> Plan:
    """Divide a build command at the first part that is not known."""
    parts = _divide(command)
    inputs: set[str] = set()
    count = 0
    for words in parts:
        found = _inputs(words, project)
        if found is None:
            break
        inputs |= found
        count += 1
    texts = command.split("&&")
    if not count or len(texts) != len(parts):  # the second: one of them is in quotes
        return Plan("", (), command)
    return Plan("&&".join(texts[:count]).strip(), tuple(sorted(inputs)), "&&".join(texts[count:]).strip())


def digest(project: Path, names: Iterable[str], *about: object) -> str:
    """A digest of files, with their names, and of what else matters."""
    total = hashlib.sha256(json.dumps(about, default=str).encode())
    for name in names:
        total.update(f"\0{name}\0".encode())
        path = project / name
        if path.is_file():
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def digest_of_all(project: Path) -> str:
    """A digest of every file of a project, with its name, mode, and the target of a link."""
    total = hashlib.sha256()
    for path in sorted(project.rglob("*")):
        total.update(f"\0{path.relative_to(project)}\0{path.lstat().st_mode}\0".encode(errors="surrogateescape"))
        if path.is_symlink():
            total.update(str(path.readlink()).encode(errors="surrogateescape"))
        elif path.is_file():
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _divide(command: str) -> list[list[str]]:
    """The parts between `&&`, in words; none for a command with `;`, `||`, `&` or brackets, or of several lines."""
    if "\n" in command.strip():
        return []
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    try:
        for word in lexer:
            if word == "&&":
                parts.append([])
            elif word in (">", ">>", "<", "|"):
                parts[-1].append(_UNKNOWN)  # of this part; those before it stay what they are
            elif set(word) <= set("();<>|&"):
                return []  # after `;` and `||` it matters how the parts before them ended
            else:
                parts[-1].append(word)
    except ValueError:
        return []
    return parts


def _inputs(words: list[str], project: Path) -> set[str] | None:
    """The files that a command reads; None: that is not known."""
    if words[:1] == ["sudo"]:
        words = words[1:]
    if words[:2] in (["python", "-m"], ["python3", "-m"]):
        words = words[2:]
    if words[:2] == ["uv", "pip"] or words[:1] == ["npx"]:
        words = words[1:]
    if not words or any("$" in word or "`" in word or word == _UNKNOWN for word in words):
        return None
    known: dict[str, Callable[[list[str], Path], set[str] | None]] = {
        "pip": _pip,
        "pip3": _pip,
        "npm": _node,
        "yarn": _node,
        "pnpm": _node,
        "apt-get": _apt,
        "apt": _apt,
        "playwright": _playwright,
        "go": _go,
    }
    read = known.get(words[0])
    return read(words[1:], project) if read else None


def _pip(words: list[str], project: Path) -> set[str] | None:
    if words[:1] != ["install"]:
        return None
    inputs: set[str] = set()
    rest = iter(words[1:])
    for word in rest:
        flag, equals, value = word.partition("=")
        if word in ("-r", "-c") or flag in ("--requirement", "--constraint"):
            name = value if equals else next(rest, "")
            if name == "pyproject.toml":  # by uv
                inputs |= {name, "uv.toml"}
            elif not _requirements(name, project, inputs):
                return None
        elif flag in _PIP_VALUES:
            if not equals:
                next(rest, "")
        elif word.startswith("-"):
            if word in ("-e", "--editable") or word.startswith(("-e", "-r", "-c")):
                return None
        elif not _NAMED.match(word) or _LOCAL.search(word) or (project / word).exists():
            return None
    return inputs


def _requirements(name: str, project: Path, inputs: set[str], depth: int = 0) -> bool:
    """Add a requirements file and those that it includes. False: it needs other files of the project."""
    if not name or name.startswith("/") or ".." in Path(name).parts or depth > _DEPTH:
        return False
    inputs.add(name)
    try:
        text = (project / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return True  # pip says what is wrong
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()  # noqa: PLW2901 - the same line, shorter
        if match := re.match(r"(?:-r|-c|--requirement|--constraint)[ =]*(\S+)", line):
            included = str(Path(name).parent / match[1])
            if included not in inputs and not _requirements(included, project, inputs, depth + 1):
                return False
        elif line and (_LOCAL.search(line.partition(";")[0].partition("--hash")[0])):
            return False
    return True


def _node(words: list[str], project: Path) -> set[str] | None:
    if words[:1] not in (["ci"], ["install"], ["i"], []):
        return None
    if any(re.match(r"[./~]|file:|-C|--prefix|--cwd|--dir", word) for word in words[1:]):
        return None
    try:
        package = json.loads((project / "package.json").read_text(encoding="utf-8"))
        scripts, workspaces = package.get("scripts") or {}, package.get("workspaces")
    except (OSError, ValueError, AttributeError):
        return None
    local = re.search(r'"(file|link|workspace|portal):', json.dumps(package))
    if workspaces or local or any(hook in scripts for hook in _HOOKS):
        return None
    return {*_NODE_FILES, *_NODE_FILES_PNPM}


def _apt(words: list[str], _project: Path) -> set[str] | None:
    names = [word for word in words if not word.startswith("-")]
    if names[:1] not in (["update"], ["install"], ["upgrade"], ["clean"]) or any("/" in name for name in names):
        return None
    return set()


def _playwright(words: list[str], _project: Path) -> set[str] | None:
    return set() if words[:1] in (["install"], ["install-deps"]) else None


def _go(words: list[str], _project: Path) -> set[str] | None:
    return {"go.mod", "go.sum"} if words[:2] == ["mod", "download"] else None
