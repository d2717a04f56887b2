"""Take over a database that FastOpp 0.4.8 made.

There the migrations were generated on the spot and never committed, so that `alembic_version` is missing or names
a migration that no longer exists, or that no other project has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from fastopp.database.migrations.errors import SchemaMismatch, UnknownRevision
from fastopp.database.migrations.revisions import Revision

if TYPE_CHECKING:
    from sqlalchemy import Connection

# The columns that FastOpp 0.4.8 gave each table. A minimal project has `users` only.
SCHEMA_0_4_8: Mapping[str, frozenset[str]] = {
    "users": frozenset({"id", "email", "hashed_password", "is_active", "is_superuser", "is_staff", "group"}),
    "products": frozenset(
        {"id", "name", "description", "price", "category", "in_stock", "created_at", "updated_at"}
    ),
    "webinar_registrants": frozenset({
        "id", "email", "name", "company", "webinar_title", "webinar_date", "registration_date", "status",
        "assigned_sales_rep", "group", "is_public", "notes", "photo_url", "created_at", "updated_at",
    }),
    "audit_logs": frozenset({
        "id", "user_id", "action", "model_name", "record_id", "changes", "ip_address", "user_agent", "timestamp",
    }),
}  # fmt: skip

# A table that only our own migrations make: where it is, the database is past its adoption.
_MARKER = "failed_attempts"

VERSION_TABLE = "alembic_version"


def adopt(connection: Connection, revisions: Mapping[str, Revision]) -> bool:
    """Make the database ready for the project's migrations from the first one on, if it comes from FastOpp 0.4.8.

    Nothing but the stale rows of `alembic_version` is changed: the first migration keeps the tables that exist.
    Returns whether there was something to adopt.

    Raises
    ------
    SchemaMismatch: a table lacks columns.
    UnknownRevision: the database is at a migration that is neither ours nor from FastOpp 0.4.8.
    """
    from sqlalchemy import column as column_named  # noqa: PLC0415 - as above
    from sqlalchemy import delete, inspect, select, table  # noqa: PLC0415 - the web process imports this for less

    inspector = inspect(connection)
    tables = set(inspector.get_table_names())
    version = table(VERSION_TABLE, column_named("version_num"))
    applied: Sequence[str] = connection.scalars(select(version.c.version_num)).all() if VERSION_TABLE in tables else ()
    if any(id_ in revisions for id_ in applied):
        return False
    if applied and not _from_0_4_8(applied, tables):
        raise UnknownRevision(
            f"The database is at migration {applied[0]!r}, which this project does not have.",
            hint="It was migrated by other code: deploy that code, or set DATABASE_URL to this project's database.",
        )
    present = [name for name in SCHEMA_0_4_8 if name in tables]
    for name in present:
        missing = SCHEMA_0_4_8[name] - {found["name"] for found in inspector.get_columns(name)}
        if missing:
            raise SchemaMismatch(
                f"The table {name} has no column {', '.join(sorted(missing))}. Nothing was changed.",
                hint=f"Add what is missing, or rename the table if it is not FastOpp's {name}.",
            )
    if applied:
        connection.execute(delete(version))
    return bool(present)


def _from_0_4_8(applied: Sequence[str], tables: set[str]) -> bool:
    # Our ids are numbers; what 0.4.8 had Alembic generate is hexadecimal and may be all digits, but is longer.
    ours = any(id_.isdigit() and len(id_) <= 6 for id_ in applied)
    emptied = tables == {VERSION_TABLE}
    return not ours and _MARKER not in tables and ("users" in tables or emptied)
