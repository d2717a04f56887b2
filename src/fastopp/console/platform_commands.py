"""The commands of the platforms' features, which are below the platform's name in `oppman.py`."""

from __future__ import annotations

from importlib import import_module

from fastopp.console.lazy import Place
from fastopp.core.features import platform_features


def platform_commands() -> dict[str, Place]:
    """Return the commands of each platform that has some, by the platform's name, without importing them."""
    return {app.name: place for app in platform_features() if (place := app.commands())}


def commands_for_any_project() -> dict[str, Place]:
    """Return the commands that also work on projects of other frameworks: FOR_ANY_PROJECT of each commands.py."""
    found: dict[str, Place] = {}
    for place, _ in platform_commands().values():
        found |= getattr(import_module(place.partition(":")[0]), "FOR_ANY_PROJECT", {})
    return found
