"""Import modules under the names that they had before `features` and `core`, for one version, with a warning."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Iterable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

_MOVED = {
    "admin": "features.admin",
    "allocator": "core.allocator",
    "application": "core.application",
    "apps": "core.apps",
    "assembly": "core.assembly",
    "auth": "features.accounts",
    "auth.accounts": "features.accounts.service",
    "auth.emergency": "features.emergency.grants",
    "checks.accounts": "features.accounts.checks",
    "checks.database": "features.database.checks",
    "checks.database_live": "features.database.live_checks",
    "checks.environment": "features.configuration.checks",
    "checks.manifest": "features.leapcell.checks.manifest",
    "checks.migrations": "features.migrations.checks",
    "checks.requirements": "features.leapcell.checks.requirements",
    "checks.secrets": "features.configuration.checks",
    "checks.shared_memory": "features.deployment.checks.shared_memory",
    "checks.speed": "features.leapcell.checks.speed",
    "checks.storage": "features.files.checks",
    "checks.storage_live": "features.files.live_checks",
    "checks.writing": "features.deployment.checks.writing",
    "cli.configuration": "features.configuration.commands",
    "cli.console": "console.output",
    "cli.database": "features.database_backups.local",
    "cli.database_backups": "features.database_backups.commands",
    "cli.demo_commands": "features.setup.commands",
    "cli.demo_mode": "features.setup.demo_mode",
    "cli.deploy_files": "features.deployment.deploy_files",
    "cli.dropping": "features.migrations.dropping",
    "cli.encrypted_file": "features.database_backups.encrypted_file",
    "cli.files": "features.files.commands",
    "cli.files_status": "features.files.status",
    "cli.fly": "features.fly.init",
    "cli.lazy": "console.lazy",
    "cli.leapcell": "features.leapcell.commands",
    "cli.leapcell_build": "features.leapcell.build",
    "cli.leapcell_emulate": "features.leapcell.emulate",
    "cli.leapcell_init": "features.leapcell.init",
    "cli.migrations": "features.migrations.commands",
    "cli.options": "console.options",
    "cli.tasks": "features.jobs.commands",
    "cli.users": "features.accounts.commands",
    "cli.worker": "features.jobs.worker_command",
    "database.asyncpg_driver": "database.drivers.asyncpg",
    "database.asyncpg_parameters": "settings.asyncpg_parameters",
    "database.dialect": "database.drivers.dialect",
    "database.dump": "features.database_backups.dump",
    "database.libpq": "settings.libpq",
    "database.migrations.synchronous": "features.leapcell.migrations",
    "database.one_trip": "database.drivers.one_trip",
    "database.psycopg_driver": "database.drivers.psycopg",
    "database.sqlite_driver": "database.drivers.sqlite",
    "database.tls": "database.drivers.tls",
    "database.url": "settings.database_url",
    "dependencies": "core.dependencies",
    "garbage": "core.garbage",
    "machine_key": "settings.loading",
    "ops": "features",
    "ops.access": "features.accounts.detached",
    "ops.answers": "web.answers",
    "ops.checks": "features.health.probes",
    "ops.database_backup": "features.database_backups.routes",
    "ops.debug": "features.debug.routes",
    "ops.direct_uploads": "features.files.uploads",
    "ops.drain": "features.jobs.drain",
    "ops.emergency": "features.emergency.routes",
    "ops.file_jobs": "features.files.file_jobs",
    "ops.files": "features.files.routes",
    "ops.health": "features.health.routes",
    "ops.home": "features.setup.home",
    "ops.metrics": "features.jobs.metrics",
    "ops.migrations": "features.migrations.routes",
    "ops.oppdemo": "features.setup.oppdemo",
    "ops.oppman": "features.setup.oppman",
    "ops.restore_record": "features.database_backups.restore_record",
    "ops.routers": "core.assembly",
    "ops.status": "features.health.status",
    "ops.storage_tasks": "features.files.storage_tasks",
    "ops.stored_backups": "features.database_backups.stored",
    "ops.tables": "database.tables",
    "ops.task_durations": "features.jobs.durations",
    "ops.task_watch": "features.jobs.watch",
    "ops.tasks": "features",
    "ops.tasks.cleaning": "features.jobs.tasks",
    "ops.tasks.database": "features.database_backups.tasks",
    "ops.tasks.demo": "features.setup.tasks",
    "ops.tasks.files": "features.files.tasks",
    "ops.tasks.running": "features.jobs.running",
    "ops.tasks_api": "features.jobs.api",
    "ops.tasks_page": "features.jobs.page",
    "ops.trigger_direct": "features.jobs.trigger_direct",
    "ops.triggers": "features.jobs.triggers",
    "ops.user_management": "features.accounts.management",
    "runtime": "core.runtime",
    "seeding": "features.setup.seeding",
    "settings_check": "settings.problems",
    "settings_reference": "settings.reference",
    "storage.leapcell": "features.leapcell.storage",
    "tasks.jobs": "tasks.queue",
    "tasks.postgres": "tasks.queue.postgres",
    "tasks.sqlite": "tasks.queue.sqlite",
    "tasks.work": "tasks.worker",
    "weak_secrets": "settings.weak_secrets",
    "web.body_limit": "web.middleware.body_limit",
    "web.disconnect": "web.middleware.disconnect",
    "web.forwarded": "web.middleware.forwarded",
    "web.headers": "web.middleware.headers",
    "web.hosts": "web.middleware.hosts",
    "web.redirects": "web.middleware.redirects",
}
"""Map the old name of each module or package to the new one. Modules below an old package are below the new one."""

_ELSEWHERE = {"emulator": ("leapcell_emulator", "emulator")}
"""Map the old name of a package to the package on PyPI that it is now, and to FastOpp's extra that installs it."""

_SPLIT = {
    "fastopp.cli.project": ("console.project", "console.main_file"),
    "fastopp.platform": (
        "platforms.detection",
        "platforms.base",
        "platforms.local",
        "platforms.fly",
        "platforms.leapcell",
    ),
    "fastopp.web.csrf": ("web.middleware.csrf", "web.csrf_tokens"),
}
"""Map the old name of a module to the new ones that its members are in."""

_MEMBERS = {
    "fastopp.database.migrations.migrate": {
        "LEAPCELL_TIMEOUT": "fastopp.database.migrations.migrate.REQUEST_TIMEOUT",
        "migrate_leapcell": "fastopp.features.leapcell.migrations.upgrade_leapcell",
    },
}
"""Map the old names of members to the new ones, by the module that they were in. It has `moved_member`."""


def new_name(old: str) -> str | None:
    """Return the name that a module of FastOpp has now, or None if its name is not an old one."""
    package, _, name = old.partition(".")
    if package != "fastopp":
        return None
    first, dot, rest = name.partition(".")
    if first in _ELSEWHERE:
        return f"{_ELSEWHERE[first][0]}{dot}{rest}"
    head, tail = name, ""
    while head:
        if head in _MOVED:
            return f"fastopp.{_MOVED[head]}{tail}"
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return None


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        moved = new_name(name) or name in _SPLIT
        return importlib.machinery.ModuleSpec(name, self) if moved else None

    def exec_module(self, module: ModuleType) -> None:
        if parts := _SPLIT.get(module.__name__):
            vars(module)["__getattr__"] = partial(_member, module.__name__, parts)
            return
        new = new_name(module.__name__)
        assert new  # noqa: S101 - as `find_spec` has made sure
        warnings.warn(f"{module.__name__} is {new} now.", DeprecationWarning, stacklevel=2)
        try:
            sys.modules[module.__name__] = importlib.import_module(new)  # one module, under both names
        except ModuleNotFoundError as error:
            for package, extra in _ELSEWHERE.values():
                if error.name == package:
                    install = f'pip install "fastopp[{extra}]"'
                    error.msg = f"{module.__name__} is {new} now. Install it with: {install}"
            raise


def _member(old: str, parts: Iterable[str], name: str) -> Any:  # noqa: ANN401 - a module's attributes
    """Return a member of a module that was split, from the first part that has it."""
    for part in parts:
        module = importlib.import_module(f"fastopp.{part}")
        if not name.startswith("__") and hasattr(module, name):
            warnings.warn(f"{old}.{name} is in {module.__name__} now.", DeprecationWarning, stacklevel=3)
            return getattr(module, name)
    raise AttributeError(f"module {old!r} has no attribute {name!r}")


def moved_member(module: str, name: str) -> Any:  # noqa: ANN401 - as above
    """Return a member of a module under its old name; the module's `__getattr__`."""
    new = _MEMBERS[module].get(name)
    if new is None:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    warnings.warn(f"{module}.{name} is {new} now.", DeprecationWarning, stacklevel=2)
    place, _, attribute = new.rpartition(".")
    return getattr(importlib.import_module(place), attribute)


def install() -> None:
    """Find old names. First, since a package would otherwise be searched for its modules under the old name again."""
    sys.meta_path.insert(0, _Finder())
