"""Run programs of the project in separate processes with separate settings: nothing of the service's."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastopp.settings.child_environment import setting_names, without_settings
from fastopp.settings.reference import AppKinds

PATIENCE = 60.0  # seconds for a command


@dataclass(frozen=True, slots=True)
class Done:
    """A program that has ended."""

    status: int
    output: str
    errors: str


def trial_environment(folder: Path, *, platform: str, app_settings: AppKinds = ()) -> dict[str, str]:
    """Variables for a trial: a new database and files in `folder`, and what this process has of the machine's.

    A setting that is empty counts as not set, so the project's .env has no say. Settings of apps that have no default
    keep their values, since nothing starts without them.
    """
    return {
        **without_settings(app_settings),
        **dict.fromkeys(setting_names(app_settings), ""),
        "DATABASE_URL": f"sqlite:///{folder / 'trial.db'}",
        "ENVIRONMENT": "production",
        "FASTOPP_PLATFORM": platform,
        "SECRET_KEY": secrets.token_urlsafe(32),
        "STORAGE_TYPE": "filesystem",
        "UPLOAD_DIR": str(folder / "uploads"),
    }


async def run_oppman(project: Path, *words: str, environ: Mapping[str, str]) -> Done:
    """Run `python oppman.py WORDS` in the project, to its end. Raises TimeoutError."""
    return await run_program(project, [sys.executable, "oppman.py", *words], environ=environ, patience=PATIENCE)


async def run_program(folder: Path, command: Sequence[str], *, environ: Mapping[str, str], patience: float) -> Done:
    """Run a command in a folder, to its end. Raises TimeoutError after `patience` seconds, when it has been killed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(patience):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Done(process.returncode or 0, output.decode(errors="replace"), errors.decode(errors="replace"))
