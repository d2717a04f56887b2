"""Every check there is."""

from __future__ import annotations

from fastopp.checks import (
    database,
    database_live,
    environment,
    manifest,
    requirements,
    secrets,
    shared_memory,
    speed,
    writing,
)
from fastopp.checks.check import Check
from fastopp.features.accounts import checks as accounts
from fastopp.features.files import checks as storage
from fastopp.features.files import live_checks as storage_live
from fastopp.features.migrations import checks as migrations

_MODULES = (
    secrets, environment, database, database_live, migrations, accounts, storage, storage_live, manifest, requirements,
    shared_memory, writing, speed,
)  # fmt: skip


def all_checks() -> tuple[Check, ...]:
    """All checks, by id."""
    found = [value for module in _MODULES for value in vars(module).values() if isinstance(value, Check)]
    return tuple(sorted(found, key=lambda each: each.id.rpartition(".")[2][1:]))
