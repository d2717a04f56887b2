"""The code of `alembic/env.py`: configures how Alembic migrates and compares.

Imports Alembic's and SQLAlchemy's weight, so only env.py and migrate.py's functions import it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection, MetaData
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from fastopp.database.framework_tables import is_queue_table
from fastopp.database.migrations.adopt import SCHEMA_0_4_8
from fastopp.database.migrations.constraint_names import name_constraints
from fastopp.database.migrations.drops import Difference, find_drops
from fastopp.database.migrations.lock import migration_transaction
from fastopp.database.migrations.losses import run_keeping_data
from fastopp.database.migrations.revisions import find_migrations, next_id, read_revisions
from fastopp.settings import load_settings

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.runtime.migration import MigrationInfo

ATTRIBUTE = "fastopp"
"""The name in `Config.attributes` under which migrate.py hands over an `Environment`."""

ALONE_TIMEOUT = 600.0  # seconds; the plain `alembic` command is run interactively


@dataclass(frozen=True, slots=True)
class Environment:
    """The caller's choices: the open transaction, or the dialect to write SQL for."""

    connection: Connection | None = None
    dialect: str | None = None
    compare: bool = False
    allow_drop: bool = False
    """Whether a comparison may end in drops of what the models do not know."""
    on_drop: Callable[[Difference], None] | None = None
    """Called with each thing that the models do not know."""
    on_apply: Callable[[str], None] | None = None
    """Called with the id of each migration that was run."""


def run(context: ModuleType, load_metadata: Callable[[], MetaData]) -> None:
    """Run Alembic's command, in the caller's transaction or, for the plain `alembic` command, in a new one."""
    given: Environment | None = context.config.attributes.get(ATTRIBUTE)
    if given is None and not context.is_offline_mode():
        asyncio.run(_run_alone(context, load_metadata()))
        return
    if given is None:
        given = Environment(dialect=load_settings().database.backend)
    metadata = load_metadata() if given.compare else None
    if given.connection is None:
        context.configure(dialect_name=given.dialect, literal_binds=True, **_options(metadata, given))
    else:
        report = given.on_apply

        def applied(*, step: MigrationInfo, **_: object) -> None:
            if report and step.is_migration and step.up_revision_id:
                report(step.up_revision_id)

        context.configure(connection=given.connection, on_version_apply=applied, **_options(metadata, given))
    with context.begin_transaction():
        context.run_migrations()


async def _run_alone(context: ModuleType, metadata: MetaData) -> None:
    allow_drop = context.get_x_argument(as_dictionary=True).get("allow_drop") == "true"
    given = Environment(allow_drop=allow_drop)

    def migrate(connection: Connection) -> None:
        def run() -> None:
            context.configure(connection=connection, **_options(metadata, given, number=True))
            with context.begin_transaction():
                context.run_migrations()

        if allow_drop:
            run()
        else:
            run_keeping_data(connection, run)

    async with migration_transaction(load_settings().database, ALONE_TIMEOUT) as connection:
        await connection.run_sync(migrate)


def _options(metadata: MetaData | None, given: Environment, *, number: bool = False) -> dict[str, Any]:
    def finish(_context: object, _revision: object, directives: list[Any]) -> None:
        for directive in directives:
            for drop in find_drops(directive.upgrade_ops, remove=not given.allow_drop):
                if given.on_drop:
                    given.on_drop(drop)
            name_constraints(directive.upgrade_ops, directive.downgrade_ops)
            if number:  # as `oppman.py makemigrations` does
                directive.rev_id = next_id(read_revisions(find_migrations()))

    return {
        "target_metadata": metadata,
        "compare_type": True,
        "render_as_batch": True,  # SQLite alters a table by copying it; on PostgreSQL a batch is plain ALTER TABLE
        "include_object": _include_object,
        "render_item": _render_item,
        "process_revision_directives": finish,
    }


def _include_object(_item: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:  # noqa: FBT001 - Alembic's signature
    """Leave FastOpp's own tables alone where no model describes them: a minimal project has the demo's, with rows."""
    unknown = kind == "table" and reflected and compare_to is None
    return not (unknown and name and (name in SCHEMA_0_4_8 or is_queue_table(name)))


def _render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """SQLModel's types as plain SQLAlchemy, so that a migration means the same when SQLModel changes."""
    if kind != "type":
        return False
    if isinstance(item, AutoString):
        length = getattr(item.impl, "length", None)
        return f"sa.String(length={length})" if length else "sa.String()"
    if isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if type(item).__module__.startswith("sqlmodel"):
        context.imports.add("import sqlmodel")
    return False
