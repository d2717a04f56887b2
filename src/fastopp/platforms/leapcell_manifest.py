"""`leapcell.yaml`, as far as checks need it. The emulator has a reader that says more; a test compares the two.

There is no published schema. Five flat keys are seen in the official examples
(github.com/leapcell/fastapi-hackernews-clone and others).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fastopp.errors import BadRequest
from fastopp.platforms.leapcell import (
    LEAPCELL_MAX_MEMORY,
    LEAPCELL_MEMORY_PER_CORE,
    LEAPCELL_MIN_MEMORY,
    LEAPCELL_PORT,
)

FILE_NAME: Final = "leapcell.yaml"
KEYS: Final = ("runtime", "startCommand", "buildCommand", "port", "memory")
# https://docs.leapcell.io/service; official examples say `node` for JavaScript.
RUNTIMES: Final = ("python", "node", "javascript", "go", "rust")
DEFAULT_MEMORY: Final = 512  # MB, as in the official examples

_MEMORY: Final = re.compile(r"\s*(\d{1,9})\s*(mb?|mib|gb?|gib)?\s*", re.IGNORECASE | re.ASCII)


class ManifestError(BadRequest):
    """leapcell.yaml is invalid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The five keys, read and checked."""

    start_command: str
    build_command: str
    runtime: str
    port: int
    memory: int
    """MB."""
    warnings: tuple[str, ...]
    """Keys and runtimes that are not LeapCell's, as sentences."""

    @property
    def cpu_share(self) -> float:
        """Processors that the memory buys; 192 MB bought 10.8 % of one, so it is in proportion [LC service]."""
        return self.memory / LEAPCELL_MEMORY_PER_CORE


def read_manifest(folder: Path) -> Manifest:
    """Read the project's `leapcell.yaml`. Raises `ManifestError`."""
    try:
        text = (folder / FILE_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ManifestError(f"There is no {FILE_NAME} in {folder.resolve()}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{FILE_NAME} cannot be read: {error}.") from error
    return parse_manifest(text)


def parse_manifest(text: str) -> Manifest:
    """Read the text of a `leapcell.yaml`. Raises `ManifestError`."""
    keys = _load(text)
    runtime = str(keys.get("runtime") or "python").lower()
    unknown = [f"{FILE_NAME}: the key {key} is not seen in any official example." for key in keys if key not in KEYS]
    if runtime not in RUNTIMES:
        unknown.append(f"{FILE_NAME}: the runtime {runtime} is not one of {', '.join(RUNTIMES)}.")
    start = _command(keys, "startCommand")
    if not start:
        raise ManifestError(f"{FILE_NAME} has no startCommand.")
    return Manifest(
        start_command=start,
        build_command=_command(keys, "buildCommand"),
        runtime=runtime,
        port=_port(keys.get("port", LEAPCELL_PORT)),
        memory=_memory(keys.get("memory", DEFAULT_MEMORY)),
        warnings=tuple(unknown),
    )


def _load(text: str) -> dict[str, Any]:
    import yaml  # type: ignore[import-untyped]  # noqa: PLC0415 - it has no type hints; only checks need it

    try:
        keys = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        hint = "Tabs are not allowed, and a value with a colon and a space in it needs quotes."
        raise ManifestError(f"{FILE_NAME} is not YAML{where}: {problem}.", hint=hint) from None
    if keys is None:
        raise ManifestError(f"{FILE_NAME} is empty.")
    if not isinstance(keys, dict):
        raise ManifestError(f"{FILE_NAME} is not a list of keys and values.")
    return {str(key): value for key, value in keys.items()}


def _command(keys: dict[str, Any], key: str) -> str:
    value = keys.get(key) or ""
    if not isinstance(value, str) or "\0" in value:
        raise ManifestError(f"{FILE_NAME}: {key} is not a command.", hint="Write it in one line.")
    return value.strip()


def _port(value: object) -> int:
    digits = str(value).strip() if isinstance(value, str | int) else ""
    if not re.fullmatch(r"[0-9]{1,5}", digits) or not 0 < int(digits) < 65536:
        raise ManifestError(f"{FILE_NAME}: port is {value!r}, not a number from 1 to 65535.")
    return int(digits)


def _memory(value: object) -> int:
    match = _MEMORY.fullmatch(str(value))
    if match is None:
        raise ManifestError(f"{FILE_NAME}: memory is {value!r}.", hint='Write it like "512mb".')
    megabytes = int(match[1]) * (1024 if (match[2] or "m").lower().startswith("g") else 1)
    if not LEAPCELL_MIN_MEMORY <= megabytes <= LEAPCELL_MAX_MEMORY:
        limits = f"LeapCell offers {LEAPCELL_MIN_MEMORY} to {LEAPCELL_MAX_MEMORY} MB."
        raise ManifestError(f"{FILE_NAME}: memory is {megabytes} MB.", hint=limits)
    return megabytes
