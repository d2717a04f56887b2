"""Writes advice into the project's configuration: known keys only, with comments and all other lines as they were."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError

from leapcell_emulator.capacity.advice import Advice
from leapcell_emulator.errors import BadRequest
from leapcell_emulator.manifest import FILE_NAME, parse_manifest

FLY: Final = "fly.toml"
FLY_KEYS: Final = ("min_machines_running", "soft_limit", "hard_limit")
ENVIRONMENT: Final = ".env.leapcell"
_MEMORY: Final = re.compile(r"^(memory:[ \t]*)([^\s#]+)", re.MULTILINE)


class CannotApply(BadRequest):
    """A file cannot be changed safely."""


@dataclass(frozen=True, slots=True)
class Change:
    """A file, as it is and as it will be."""

    path: Path
    before: str
    after: str

    def diff(self) -> str:
        """The lines that change. Lines around them are left out, since an environment holds secrets."""
        lines = difflib.unified_diff(
            self.before.splitlines(), self.after.splitlines(), str(self.path), str(self.path), lineterm="", n=0
        )
        return "\n".join(lines)

    def write(self) -> None:
        """Write the file."""
        self.path.write_text(self.after, encoding="utf-8")


def plan_changes(folder: Path, advice: Iterable[Advice], *, pool_setting: str = "") -> list[Change]:
    """Return the changes of files that are there, and none for values that they have already. Raises `CannotApply`.

    `pool_setting` is the environment variable that holds the size of the pool; without it the pool is not written.
    """
    values = {each.key: each.value for each in advice}
    changes = []
    if "memory" in values and (text := _read(folder / FILE_NAME)) is not None:
        changes.append(Change(folder / FILE_NAME, text, _with_memory(text, values["memory"])))
    if pool_setting and "pool" in values and (text := _read(folder / ENVIRONMENT)) is not None:
        changes.append(Change(folder / ENVIRONMENT, text, _with_variable(text, pool_setting, values["pool"])))
    fly: dict[str, int] = {key: values[key] for key in FLY_KEYS if key in values}
    if fly and (text := _read(folder / FLY)) is not None:
        changes.append(Change(folder / FLY, text, _with_fly(text, fly)))
    return [change for change in changes if change.before != change.after]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise CannotApply(f"{path} cannot be read: {error}.") from error


def _with_memory(text: str, memory: int) -> str:
    if _MEMORY.search(text):
        changed = _MEMORY.sub(rf"\g<1>{memory}mb", text, count=1)
    else:
        changed = f"{text.rstrip()}\nmemory: {memory}mb\n"
    if parse_manifest(changed).memory != memory:
        raise CannotApply(f"{FILE_NAME} has its memory in an unusual form.", hint=f"Write `memory: {memory}mb` in it.")
    return changed


def _with_variable(text: str, name: str, value: int) -> str:
    pattern = re.compile(rf"^((?:export\s+)?{re.escape(name)}=)[^#\n]*?(\s+#.*)?$", re.MULTILINE)
    if pattern.search(text):
        return pattern.sub(rf"\g<1>{value}\g<2>", text)
    return f"{text.rstrip()}\n{name}={value}\n".lstrip()


def _with_fly(text: str, values: dict[str, int]) -> str:
    try:
        document = tomlkit.parse(text)
        service: Any = document["http_service"]
        concurrency = service.setdefault("concurrency", tomlkit.table())
    except (TOMLKitError, KeyError, AttributeError) as error:
        raise CannotApply(f"{FLY} has no [http_service] that can be read.", hint=str(error)) from None
    for key, value in values.items():
        table = service if key == "min_machines_running" else concurrency
        if table.get(key) != value:
            table[key] = value
    return tomlkit.dumps(document)
