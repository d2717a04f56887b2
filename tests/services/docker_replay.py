"""Build an image without Docker: run each step of a Dockerfile in an empty folder, on this machine's Python."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Image:
    """The folder that an image would have as its working directory, and what its layers and its metadata are."""

    folder: Path
    user: str = "root"
    command: list[str] = field(default_factory=list)
    layers: list[tuple[str, str]] = field(default_factory=list)
    """The instruction of each step, and what it depends on: the text of the files that were copied so far."""

    def kept_by(self, other: Image) -> list[str]:
        """The instructions whose layers another build takes from the cache: all up to the first that differs."""
        kept = []
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            if mine != theirs:
                break
            kept.append(mine[0])
        return kept


def build(context: Path, folder: Path, environ: Mapping[str, str], *, run: bool = True) -> Image:
    """Run the steps of `context/Dockerfile`; without `run`, only copy, to compare layers."""
    image = Image(folder)
    folder.mkdir()
    ignored = (context / ".dockerignore").read_text().splitlines()
    for line in (context / "Dockerfile").read_text().splitlines():
        instruction, _, rest = line.partition(" ")
        match instruction:
            case "COPY":
                *sources, target = rest.split()
                for source in sources:
                    _copy(context, source, folder / target, ignored)
            case "RUN" if run and not rest.startswith("useradd"):
                done = subprocess.run(
                    rest, shell=True, cwd=folder, env=environ, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, f"{rest}\n{done.stdout}\n{done.stderr}"
            case "USER":
                image.user = rest
            case "CMD":
                image.command = json.loads(rest)
            case "FROM" | "WORKDIR" | "RUN" | "#" | "":
                pass
            case _:
                raise AssertionError(f"The replay does not know {instruction}.")
        if instruction in ("FROM", "COPY", "RUN"):
            image.layers.append((line, _content(folder) if not run else ""))
    return image


def is_ignored(name: str, patterns: list[str]) -> bool:
    """Whether .dockerignore leaves a path out (https://docs.docker.com/build/concepts/context/#dockerignore-files)."""
    parts = name.split("/")
    paths = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
    return any(_matches(path, pattern) for path in paths for pattern in patterns if not pattern.startswith("#"))


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch.fnmatchcase(path.rpartition("/")[2], pattern.removeprefix("**/"))
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)


def _copy(context: Path, source: str, target: Path, ignored: list[str]) -> None:
    origin = context / source
    if origin.is_file():
        shutil.copy(origin, target)
        return
    for path in sorted(origin.rglob("*")):
        name = path.relative_to(context).as_posix()
        if path.is_file() and not is_ignored(name, ignored):
            place = target / path.relative_to(origin)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)


def _content(folder: Path) -> str:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return "\n".join(f"{path.relative_to(folder)} {re.sub(rb'[^ -~]', b'', path.read_bytes())!r}" for path in files)
