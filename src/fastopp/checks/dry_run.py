"""Have uv or pip resolve a requirements file without installing anything."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fastopp.checks.errors import CannotCheck
from fastopp.checks.own_process import run_program
from fastopp.checks.requirement_lines import install_commands
from fastopp.settings.child_environment import GIT, INSTALLERS, machine_environment

PATIENCE: Final = 50.0  # seconds; pip downloads what the index has no metadata of
_REPLY: Final = "10"  # seconds that a package index may take to reply

# How both report that no index could be asked.
_NO_INDEX: Final = re.compile(
    r"error sending request|dns error|failed to fetch|network was disabled|network connectivity is disabled"
    r"|connection broken by|newconnectionerror|max retries exceeded|could not fetch url|timed out",
    re.IGNORECASE,
)
_REFERENCE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")  # a variable that pip and uv put in, like the login of an index
_LOGIN: Final = re.compile(r"://[^/@\s]+@")
_FRAME: Final = re.compile(r"^(?:ERROR:|[^\w./(])+")  # uv's drawing, and pip's word
_LINES: Final = 4


async def dry_run(folder: Path, file: str, *, both: bool) -> str:
    """Return the reason why a requirements file of the project cannot be installed, or nothing.

    Raises CannotCheck if no package index answers, and if there is neither uv nor pip.
    """
    with tempfile.TemporaryDirectory(prefix="fastopp-check-") as target:
        program = [*_installer(), "--dry-run", "--quiet", "--target", target]
        command = next(each for each in install_commands(program, both=both) if each[-1] == file)
        named = _REFERENCE.findall((folder / file).read_text(encoding="utf-8", errors="replace"))
        environ = machine_environment(*INSTALLERS, *GIT, names=named)  # building a package runs its code
        environ |= {"UV_HTTP_TIMEOUT": _REPLY, "PIP_DEFAULT_TIMEOUT": _REPLY, "PIP_RETRIES": "1"}
        try:
            done = await run_program(folder, command, environ=environ, patience=PATIENCE)
        except TimeoutError:
            raise CannotCheck(f"The package index took more than {PATIENCE:g} seconds.") from None
    if done.status == 0:
        return ""
    if _NO_INDEX.search(done.errors) or "PIP_NO_INDEX" in environ:
        raise CannotCheck("No package index answers.")
    return _reason(done.errors)


def _installer() -> list[str]:
    if uv := shutil.which("uv"):  # it reads the metadata of packages where pip downloads them
        return [uv, "pip", "install", "--no-progress", "--python", sys.executable]
    options = ["install", "--no-input", "--disable-pip-version-check"]
    if find_spec("pip"):
        return [sys.executable, "-m", "pip", *options]
    if pip := shutil.which("pip"):
        return [pip, *options]
    raise CannotCheck("Neither uv nor pip is installed.")


def _reason(errors: str) -> str:
    """Return what the installer said, in one line and without the login of a private index."""
    lines = [_FRAME.sub("", line) for line in errors.splitlines() if not line.startswith("WARNING:")]
    return _LOGIN.sub("://***@", " ".join(list(filter(None, lines))[:_LINES]))
