"""The libraries of the tests as a folder for PYTHONPATH, without the framework: pip has nothing to install then."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

OURS = ("fastopp", "leapcell_emulator", "_editable_impl_", "__editable__", "pip", "distutils-precedence")


@contextmanager
def installed_libraries() -> Iterator[dict[str, str]]:
    """Give the variables with which pip finds the libraries installed, asks no index, and builds only the framework."""
    fastapi = find_spec("fastapi")
    assert fastapi
    assert fastapi.origin
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # an instance in the emulator has another /tmp
        for entry in Path(fastapi.origin).parents[1].iterdir():
            if not entry.name.startswith(OURS) and entry.suffix != ".pth":
                (Path(folder) / entry.name).symlink_to(entry)
        yield {"PYTHONPATH": folder, "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # so pip spells "none"
