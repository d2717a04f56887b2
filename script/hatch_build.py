"""Puts the project template into the wheel: this repository's own project, which `fastopp startproject` copies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# As in fastopp.cli.startproject, which cannot be imported before it is built.
TEMPLATE = ("main.py", "oppman.py", "oppdemo.py", "demo", "alembic", "alembic.ini", ".env.example", "LICENSE")


class TemplateHook(BuildHookInterface):
    """Called by hatchling for each build of a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add what is there: a project that has removed the demo is built as well, and installed from its folder."""
        if version == "editable":  # the checkout itself is the template then
            return
        present = (name for name in TEMPLATE if (Path(self.root) / name).exists())
        build_data["force_include"] |= {name: f"fastopp/project_template/{name}" for name in present}
