"""`leapcell.yaml`: a project's configuration for LeapCell.

There is no published schema. Five flat keys are seen in the official examples
(github.com/leapcell/fastapi-hackernews-clone and others): `runtime`, `startCommand`, `buildCommand`, `port`, `memory`.
The dashboard holds the same five, and a project without the file has them there only: options set them, and what is
missing is guessed from the files (`guess.py`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from leapcell_emulator.documented import (
    MAX_MEMORY,
    MEMORY_PER_CORE,
    MIN_MEMORY,
    PORT,
)
from leapcell_emulator.errors import BadRequest
from leapcell_emulator.guess import DOCKER, dockerfile_hint, guess
from leapcell_emulator.loopback import is_port

FILE_NAME: Final = "leapcell.yaml"
KEYS: Final = ("runtime", "startCommand", "buildCommand", "port", "memory")
# https://docs.leapcell.io/service; official examples say `node` for JavaScript.
RUNTIMES: Final = ("python", "node", "javascript", "go", "rust")
DEFAULT_MEMORY: Final = 512  # MB, as in the official examples

# Names that other platforms use for a key, and what LeapCell keeps in the dashboard only.
_MEANT: Final = MappingProxyType(
    {
        "command": "startCommand",
        "cmd": "startCommand",
        "run": "startCommand",
        "start": "startCommand",
        "install": "buildCommand",
        "installcommand": "buildCommand",
        "build": "buildCommand",
        "language": "runtime",
        "lang": "runtime",
        "stack": "runtime",
        "ram": "memory",
        "mem": "memory",
        "memorysize": "memory",
        "targetport": "port",
        "env": "--env",
        "environment": "--env",
        "envvars": "--env",
        "variables": "--env",
        "rootdir": "--root-directory",
        "rootdirectory": "--root-directory",
        "root": "--root-directory",
        "pythonversion": "--python",
        "python": "--python",
        "cron": "--cron",
    }
)

_MEMORY = re.compile(r"\s*(\d+)\s*(mb?|mib|gb?|gib)?\s*", re.IGNORECASE)

EXAMPLE: Final = """\
runtime: python
buildCommand: pip install -r requirements.txt
startCommand: uvicorn main:app --host 0.0.0.0 --port 8080
port: 8080
memory: 512mb"""


DOCKERFILE: Final = "LeapCell builds this project from its Dockerfile, which the emulator cannot."


class ManifestError(BadRequest):
    """leapcell.yaml is invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The five keys, read and checked."""

    start_command: str
    build_command: str = ""
    runtime: str = "python"
    port: int = PORT
    memory: int = DEFAULT_MEMORY
    """MB."""
    warnings: tuple[str, ...] = field(default=())
    """Warnings, as sentences: the project runs all the same."""
    guessed: tuple[str, ...] = field(default=())
    """Keys that neither the file nor an option sets, with what they were guessed from."""

    @property
    def cpu_share(self) -> float:
        """Processors that the memory buys; 192 MB bought 10.8 % of one, so it is in proportion [LC service]."""
        return self.memory / MEMORY_PER_CORE

    def as_keys(self) -> dict[str, Any]:
        """The keys as the file writes them."""
        return {
            "runtime": self.runtime,
            "buildCommand": self.build_command,
            "startCommand": self.start_command,
            "port": self.port,
            "memory": f"{self.memory}mb",
        }


def read_manifest(folder: Path, settings: Mapping[str, Any] = MappingProxyType({})) -> Manifest:
    """Read the project's `leapcell.yaml`, if there is one; `settings` replace its keys, and the rest is guessed.

    settings: as the dashboard holds them, by the manifest's keys.
    Raises `ManifestError`, which says what is wrong and where.
    """
    path = folder / FILE_NAME
    if not folder.is_dir():
        raise ManifestError(f"There is no folder {folder}.")
    found = True
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        found = False
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{path} cannot be read: {error}.") from error
    written = _load(text) if found else {}
    keys = {**written, **settings}
    if keys.get("startCommand") and found:
        return check_keys(keys)
    runtime = _runtime(keys)
    if runtime == DOCKER:
        raise ManifestError(DOCKERFILE, hint=dockerfile_hint(folder))
    guessed = guess(folder, runtime)
    if not guessed.keys.get("startCommand") and not keys.get("startCommand"):
        if (folder / "Dockerfile").is_file():
            raise ManifestError(DOCKERFILE, hint=dockerfile_hint(folder))
        if found:
            return check_keys(keys)  # which says what is missing
        hint = f"Set --start-command, or write {FILE_NAME}, for example:\n\n{EXAMPLE}"
        raise ManifestError(
            f"There is no {FILE_NAME} in {folder.resolve()}, and its files do not show how to start it.", hint=hint
        )
    used = {key: value for key, value in guessed.keys.items() if key == "startCommand" or key not in keys}
    why = tuple(f"{key}: {value} ({guessed.reasons[key]})" for key, value in used.items())
    return replace(check_keys({**keys, **used}), guessed=why)


def parse_manifest(text: str) -> Manifest:
    """Read the text of a `leapcell.yaml`. Raises `ManifestError`."""
    return check_keys(_load(text))


def check_keys(keys: Mapping[str, Any]) -> Manifest:
    """Check the keys of a manifest. Raises `ManifestError`."""
    warnings = [_unknown(key) for key in keys if key not in KEYS]
    runtime = _runtime(keys) or "python"
    if runtime == DOCKER:
        raise ManifestError(DOCKERFILE, hint=dockerfile_hint())
    written = str(keys.get("runtime") or runtime).lower()
    if written not in RUNTIMES:
        taken = f" It is taken for {runtime}." if runtime in RUNTIMES else ""
        warnings.append(f"{FILE_NAME}: the runtime {written} is not one of {', '.join(RUNTIMES)}.{taken}")
    start = _command(keys, "startCommand")
    if not start:
        hint = "\n".join([*warnings, f"Add one, for example:\n\n{EXAMPLE}"])
        raise ManifestError(f"{FILE_NAME} has no startCommand.", hint=hint)
    port = _port(keys.get("port", PORT))
    return Manifest(
        runtime=runtime,
        start_command=start,
        build_command=_command(keys, "buildCommand"),
        port=port,
        memory=_memory(keys.get("memory", DEFAULT_MEMORY)),
        warnings=(*warnings, *_check_start(start, port)),
    )


def save_manifest(manifest: Manifest, folder: Path) -> Path:
    """Write the keys to a new `leapcell.yaml` and return its path. Raises `ManifestError`."""
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415 - as in `_load`

    path = folder / FILE_NAME
    keys = {key: value for key, value in manifest.as_keys().items() if value != ""}
    try:
        with path.open("x", encoding="utf-8") as file:
            yaml.safe_dump(keys, file, sort_keys=False, width=1000)
    except FileExistsError:
        raise ManifestError(f"{path} exists already.", hint="Leave out --save-manifest.") from None
    except OSError as error:
        raise ManifestError(f"{path} cannot be written: {error.strerror}.") from None
    return path


def _runtime(keys: Mapping[str, Any]) -> str:
    """The runtime that a manifest says or means, `python` for `python3.11`; empty: it says none."""
    runtime = str(keys.get("runtime") or "").lower()
    if runtime in ("", DOCKER, *RUNTIMES):
        return runtime
    return _nearest(re.sub(r"[\d.]+$", "", runtime), RUNTIMES) or runtime


def _unknown(key: str) -> str:
    """Name a key that does nothing, and the one that was probably meant."""
    plain = re.sub(r"[^a-z]", "", key.lower())
    meant = _MEANT.get(plain) or {name.lower(): name for name in KEYS}.get(_nearest(plain, [k.lower() for k in KEYS]))
    if meant is None:
        return f"{FILE_NAME}: the key {key} is not seen in any official example and does nothing here."
    if meant.startswith("--"):
        return f"{FILE_NAME}: the key {key} does nothing: it is set in LeapCell's dashboard, and here by {meant}."
    return f"{FILE_NAME}: the key {key} does nothing. Did you mean {meant}?"


def _nearest(word: str, words: Sequence[str]) -> str:
    return next(iter(difflib.get_close_matches(word, words, n=1)), "")


def _load(text: str) -> dict[str, Any]:
    import yaml  # noqa: PLC0415 - comes with the extra; no stubs are published in it

    try:
        keys = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        hint = "Tabs are not allowed, and a value with a colon and a space in it needs quotes."
        raise ManifestError(f"{FILE_NAME} is not YAML{where}: {problem}.", hint=hint) from None
    except ValueError as error:  # a date that is none
        raise ManifestError(f"{FILE_NAME} is not YAML: {error}.") from None
    if keys is None:
        raise ManifestError(f"{FILE_NAME} is empty.", hint=f"For example:\n\n{EXAMPLE}")
    if not isinstance(keys, dict):
        raise ManifestError(f"{FILE_NAME} is not a list of keys and values.", hint=f"For example:\n\n{EXAMPLE}")
    return {str(key): value for key, value in keys.items()}


def _command(keys: Mapping[str, Any], key: str) -> str:
    value = keys.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ManifestError(f"{FILE_NAME}: {key} is a {_kind(value)}, not a command.", hint="Write it in one line.")
    if "\0" in value:
        raise ManifestError(f"{FILE_NAME}: {key} has a null character in it.")
    return value.strip()


def _port(value: object) -> int:
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not is_port(value):
        raise ManifestError(f"{FILE_NAME}: port is {value!r}, not a number from 1 to 65535.")
    return value


def _memory(value: object) -> int:
    match = None if isinstance(value, bool) else _MEMORY.fullmatch(str(value))
    if match is None or not match[1].isascii():
        raise ManifestError(f"{FILE_NAME}: memory is {value!r}.", hint='Write it like "512mb".')
    megabytes = int(match[1][:9]) * (1024 if (match[2] or "m").lower().startswith("g") else 1)
    if not MIN_MEMORY <= megabytes <= MAX_MEMORY:
        limits = f"LeapCell offers {MIN_MEMORY} to {MAX_MEMORY} MB."
        raise ManifestError(f"{FILE_NAME}: memory is {megabytes} MB.", hint=limits)
    return megabytes


def _check_start(command: str, port: int) -> list[str]:
    """Warn about parts of the start command that contradict the rest."""
    found = re.findall(r"(?:--port[ =]|-p[ =]?|(?:-b|--bind)[ =]\S*?:)(\d{2,5})\b", command)
    warnings = [
        f"The start command listens on port {other}, but {FILE_NAME} says {port}: LeapCell gets no answer there."
        for other in found
        if int(other) != port
    ]
    if re.search(r"(--host|--bind|-b)[ =](127\.0\.0\.1|localhost)", command):
        warnings.append("The start command listens on 127.0.0.1; LeapCell's documents ask for 0.0.0.0.")
    return warnings


def _kind(value: object) -> str:
    names = {dict: "mapping", list: "list", bool: "yes or no", int: "number", float: "number"}
    return names.get(type(value), type(value).__name__)
