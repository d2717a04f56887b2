"""Parts of tests: what the fixtures of FastOpp's pytest plugin return. See docs/testing.md.

Each name is imported when it is first used, since pytest imports this package in every run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastopp.testing.clients import AsyncClientAs, ClientAs, Outbox, Run
    from fastopp.testing.clock import ManualClock
    from fastopp.testing.project import Project, open_project
    from fastopp.testing.storage import MemoryStorage

__all__ = ["AsyncClientAs", "ClientAs", "ManualClock", "MemoryStorage", "Outbox", "Project", "Run", "open_project"]

_MODULES = {
    "AsyncClientAs": "clients",
    "ClientAs": "clients",
    "ManualClock": "clock",
    "MemoryStorage": "storage",
    "Outbox": "clients",
    "Project": "project",
    "Run": "clients",
    "open_project": "project",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - a module's attributes
    if module := _MODULES.get(name):
        return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
