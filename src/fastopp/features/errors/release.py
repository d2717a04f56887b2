"""The release that runs."""

from __future__ import annotations

import tomllib
from pathlib import Path

from fastopp.features.errors.models import MAX_RELEASE
from fastopp.settings import Settings
from fastopp.tasks.failure import storable


def release_of(settings: Settings, project: Path) -> str:
    """Return RELEASE, or else the version in the project's pyproject.toml; empty if there is neither."""
    if settings.release:
        return storable(settings.release)
    try:
        with (project / "pyproject.toml").open("rb") as file:
            version = tomllib.load(file).get("project", {}).get("version", "")
    except (OSError, ValueError, AttributeError):
        return ""
    return storable(version)[:MAX_RELEASE] if isinstance(version, str) else ""
