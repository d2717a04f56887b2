"""Every check there is."""

from __future__ import annotations

from fastopp.checks import (
    accounts,
    database,
    database_live,
    environment,
    manifest,
    migrations,
    requirements,
    secrets,
    shared_memory,
    speed,
    storage,
    storage_live,
    writing,
)
from fastopp.checks.check import Check

_MODULES = (
    secrets, environment, database, database_live, migrations, accounts, storage, storage_live, manifest, requirements,
    shared_memory, writing, speed,
)  # fmt: skip


def all_checks() -> tuple[Check, ...]:
    """All checks, by id."""
    found = [value for module in _MODULES for value in vars(module).values() if isinstance(value, Check)]
    return tuple(sorted(found, key=lambda each: each.id.rpartition(".")[2][1:]))
