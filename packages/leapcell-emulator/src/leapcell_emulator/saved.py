"""The data of the services, kept in a folder from one run to another: a folder for each of them."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from leapcell_emulator.errors import BadRequest
from leapcell_emulator.service import Service


class NothingToLoad(BadRequest):
    """There is nothing to load."""


class CannotSave(BadRequest):
    """Nothing can be saved there."""


def make_folder(folder: Path) -> None:
    """Make the folder to save in. Raises `CannotSave` when nothing can be written there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CannotSave(f"Nothing can be saved in {folder}: {error.strerror}.") from None


async def save(services: Mapping[str, Service], folder: Path) -> None:
    """Write down what they hold."""
    for name, service in services.items():
        await service.save(folder / name)


async def load(services: Mapping[str, Service], folder: Path) -> bool:
    """Fill them with what was saved; whether there was anything. Raises `NothingToLoad`."""
    if not await asyncio.to_thread(folder.is_dir):
        raise NothingToLoad(f"There is no folder {folder}.")
    found = [await service.load(folder / name) for name, service in services.items()]
    return any(found)
