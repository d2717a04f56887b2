"""Platforms in sentences: the parts of settings' descriptions that depend on them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastopp.platforms.base import Platform
from fastopp.platforms.detection import PLATFORMS
from fastopp.platforms.local import LOCAL


def default_of(capability: str, show: Callable[[Any], str] = str, *, at: str = "on") -> str:
    """Return a capability's value where it differs from the local one, like `2 on LeapCell, otherwise 5`."""
    usual = getattr(LOCAL, capability)
    values: dict[str, list[Platform]] = {}
    for each in PLATFORMS.values():
        value = getattr(each, capability)
        if value not in (None, usual):
            values.setdefault(show(value), []).append(each)
    parts = [f"{value} {at} {_titles(platforms)}" for value, platforms in values.items()]
    return ", ".join(parts if usual is None else [*parts, f"otherwise {show(usual)}"])


def platforms_with(capability: str) -> str:
    """Return the titles of the platforms that have a capability."""
    return _titles([each for each in PLATFORMS.values() if getattr(each, capability)])


def environments() -> str:
    """Return the values of ENVIRONMENT that name a platform, like `x` means production on X."""
    return ", ".join(f"`{value}` means production on {p.title}" for p in PLATFORMS.values() for value in p.environments)


def kill_times() -> str:
    """Return when platforms kill a process that does not end."""
    found = [p for p in PLATFORMS.values() if p.kill_after]
    return " ".join(f"{p.title} kills a process after {p.kill_after:g}, unless {p.kill_setting} is set." for p in found)


def _titles(platforms: list[Platform]) -> str:
    return " and ".join(dict.fromkeys(each.title for each in platforms))
