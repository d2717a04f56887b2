"""The code of `alembic/env.py`: configures how Alembic migrates and compares.

Imports Alembic's and SQLAlchemy's weight, so only env.py and migrate.py's functions import it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Column, Connection, MetaData
from sqlalchemy.sql.type_api import TypeEngine

from fastopp.database.framework_tables import is_passing
from fastopp.database.migrations.adopt import SCHEMA_0_4_8
from fastopp.database.migrations.column_types import differs, know_types
from fastopp.database.migrations.constraint_names import name_constraints
from fastopp.database.migrations.drops import Difference, find_drops
from fastopp.database.migrations.lock import migration_transaction
from fastopp.database.migrations.losses import run_keeping_data
from fastopp.database.migrations.operations import Rename, without_fills
from fastopp.database.migrations.postgresql_enums import EnumImpl
from fastopp.database.migrations.rendered_types import render_type
from fastopp.database.migrations.revisions import find_migrations, next_id, read_revisions
from fastopp.database.migrations.sqlite_indexes import IndexKeepingImpl, compare_indexes, unread_indexes_unsaid
from fastopp.database.migrations.written_types import Types
from fastopp.settings import load_settings

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import UpgradeOps
    from alembic.runtime.migration import MigrationContext, MigrationInfo

ATTRIBUTE = "fastopp"
"""The name in `Config.attributes` under which migrate.py hands over an `Environment`."""

IMPLEMENTATIONS = (EnumImpl, IndexKeepingImpl)
"""Alembic finds them by their dialect, once they are imported."""

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
    ask: Callable[[UpgradeOps, MetaData], None] | None = None
    """Called with the operations, to put answers into them."""
    renames: Sequence[Rename] = ()
    """Names in the database that were changed for the comparison."""
    types: Types = field(default_factory=dict)
    """The types of columns as the migrations write them."""
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
    with unread_indexes_unsaid(), context.begin_transaction():
        context.run_migrations()


async def _run_alone(context: ModuleType, metadata: MetaData) -> None:
    allow_drop = context.get_x_argument(as_dictionary=True).get("allow_drop") == "true"
    given = Environment(allow_drop=allow_drop)

    def migrate(connection: Connection) -> None:
        def run() -> None:
            context.configure(connection=connection, **_options(metadata, given, number=True))
            with unread_indexes_unsaid(), context.begin_transaction():
                context.run_migrations()

        if allow_drop:
            run()
        else:
            run_keeping_data(connection, run)

    async with migration_transaction(load_settings().database, ALONE_TIMEOUT) as connection:
        await connection.run_sync(migrate)


def _options(metadata: MetaData | None, given: Environment, *, number: bool = False) -> dict[str, Any]:
    def finish(context: MigrationContext, _revision: object, directives: list[Any]) -> None:
        for directive in directives:
            know_types(directive.upgrade_ops, given.types)
            if metadata is not None and context.connection is not None:
                compare_indexes(context.connection, metadata, directive.upgrade_ops)
            if given.ask and metadata is not None:
                given.ask(directive.upgrade_ops, metadata)
            for drop in find_drops(directive.upgrade_ops, remove=not given.allow_drop):
                if given.on_drop:
                    given.on_drop(drop)
            directive.upgrade_ops.ops[:0] = given.renames
            name_constraints(directive.upgrade_ops, directive.downgrade_ops)
            without_fills(directive.downgrade_ops)
            if number:  # as `oppman.py makemigrations` does
                directive.rev_id = next_id(read_revisions(find_migrations()))

    def compare_type(
        _context: MigrationContext, found: Column[Any], model: Column[Any], old: TypeEngine[Any], new: TypeEngine[Any]
    ) -> bool | None:
        return differs(given.types.get((found.table.name, found.name)), old, new)

    return {
        "target_metadata": metadata,
        "compare_type": compare_type,
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
        "render_as_batch": True,  # SQLite alters a table by copying it; on PostgreSQL a batch is plain ALTER TABLE
        "include_object": _include_object,
        "render_item": _render_item,
        "process_revision_directives": finish,
    }


def _include_object(_item: object, name: str | None, kind: str, reflected: bool, compare_to: object) -> bool:  # noqa: FBT001 - Alembic's signature
    """Leave FastOpp's own tables alone where no model describes them: a minimal project has the demo's, with rows."""
    unknown = kind == "table" and reflected and compare_to is None
    return not (unknown and name and (name in SCHEMA_0_4_8 or is_passing(name)))


def _render_item(kind: str, item: object, context: AutogenContext) -> str | Literal[False]:
    """Types as plain SQLAlchemy."""
    return render_type(item, context.imports) if kind == "type" and isinstance(item, TypeEngine) else False
