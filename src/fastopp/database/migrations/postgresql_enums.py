"""Enums on PostgreSQL, where each is a type that has to be created, extended and dropped.

A migration says `sa.Enum("good", "bad", name="mood")` in a column, on SQLite and on PostgreSQL; this does what the
server needs for it. `alembic-postgresql-enum` writes such statements into migrations, but only those that are made on
PostgreSQL.
"""

# ruff: noqa: ANN401 - the signatures are Alembic's
from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.ddl.postgresql import PostgresqlImpl
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import CreateEnumType
from sqlalchemy.sql.type_api import TypeEngine, to_instance

_VALUES = text("SELECT enumlabel FROM pg_enum WHERE enumtypid = to_regtype(:name) ORDER BY enumsortorder")

_USES = text("""
SELECT CAST(CAST(a.attrelid AS regclass) AS text), a.attname, a.atttypid = t.typarray, pg_get_expr(d.adbin, d.adrelid)
FROM pg_type t JOIN pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE t.oid = to_regtype(:name)
""")

_UNUSED = text("""
SELECT CAST(CAST(t.oid AS regtype) AS text) FROM pg_type t
WHERE t.typtype = 'e' AND CAST(t.oid AS bigint) = ANY (CAST(:types AS bigint[]))
AND NOT EXISTS (SELECT FROM pg_depend WHERE refobjid IN (t.oid, t.typarray) AND deptype = 'n')
""")

_ENUMS_OF_TABLE = text("""
SELECT CAST(t.oid AS bigint) FROM pg_type t
JOIN pg_attribute a ON a.atttypid IN (t.oid, t.typarray) AND NOT a.attisdropped
WHERE t.typtype = 'e' AND a.attrelid = to_regclass(:name)
""")


class EnumImpl(PostgresqlImpl):
    """Alembic's implementation for PostgreSQL, which takes this class's place by its dialect's name."""

    __dialect__ = "postgresql"

    def create_table(self, table: sa.Table, **kw: Any) -> None:
        """Create the table, and the types that are new."""
        for column in table.columns:
            self._provide(column.type)
        super().create_table(table, **kw)

    def add_column(self, table_name: str, column: sa.Column[Any], **kw: Any) -> None:
        """Add the column, and the type if it is new."""
        self._provide(column.type)
        super().add_column(table_name, column, **kw)

    def drop_table(self, table: sa.Table, **kw: Any) -> None:
        """Drop the table, and the types that nothing else uses."""
        types = self._types_of(self._format_table(table.name, table.schema))
        super().drop_table(table, **kw)
        self._drop_unused(types)

    def drop_column(self, table_name: str, column: sa.Column[Any], **kw: Any) -> None:
        """Drop the column, and its type if nothing else uses it."""
        types = self._types_of(self._format_table(table_name, kw.get("schema")))
        super().drop_column(table_name, column, **kw)
        self._drop_unused(types)

    def alter_column(self, table_name: str, column_name: str, **kw: Any) -> None:
        """Change the column; values are converted by a cast, and times without a zone are UTC."""
        new, old = to_instance(kw.get("type_")), to_instance(kw.get("existing_type"))
        if kw.get("type_") is None:
            super().alter_column(table_name, column_name, **kw)
            return
        types = self._types_of(self._format_table(table_name, kw.get("schema")))
        wanted, had = self._enum(new), self._enum(old)
        column = self.dialect.identifier_preparer.quote(column_name)
        if wanted and had and wanted.name == had.name and not isinstance(new, sa.ARRAY):
            removed = set(had.enums) - set(wanted.enums)
            if removed and (self.as_sql or removed.intersection(self._values(wanted) or ())):
                self._replace(wanted, [(self._format_table(table_name, kw.get("schema")), column_name, False, None)])
            else:
                self._provide(new)
            kw["type_"] = None
        else:
            self._provide(new)
            kw.setdefault("postgresql_using", self._cast(column, old, new))
        super().alter_column(table_name, column_name, **kw)
        self._drop_unused(types)

    def _cast(self, column: str, old: TypeEngine[Any], new: TypeEngine[Any]) -> str:
        if isinstance(old, sa.DateTime) and isinstance(new, sa.DateTime) and old.timezone != new.timezone:
            return f"{column} AT TIME ZONE 'UTC'"
        by_text = "::text" if self._enum(new) or self._enum(old) else ""
        return f"{column}{by_text}::{new.compile(self.dialect)}"

    def _enum(self, type_: TypeEngine[Any]) -> postgresql.ENUM | None:
        """Return the type as PostgreSQL's own, if it is one there."""
        found = type_.dialect_impl(self.dialect)
        if isinstance(found, sa.ARRAY):
            return self._enum(found.item_type)
        return found if isinstance(found, postgresql.ENUM) and found.native_enum else None

    def _provide(self, type_: TypeEngine[Any]) -> None:
        """Create a type, or add the values that it lacks."""
        if (enum := self._enum(type_)) is None:
            return
        enum.create_type = False  # else SQLAlchemy creates it with each table
        name = self._name(enum)
        if self.as_sql:
            create = str(CreateEnumType(enum).compile(dialect=self.dialect)).strip()
            self.static_output(f"DO $$ BEGIN {create}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;")
            values: Sequence[str] = ()
        elif (found := self._values(enum)) is None:
            self.execute(CreateEnumType(enum))
            return
        else:
            values = found
        for value in enum.enums:
            if value not in values:
                self.execute(f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS {_quoted(value)}")

    def _replace(self, enum: postgresql.ENUM, uses: Iterable[tuple[str, str, bool, str | None]]) -> None:
        """Create a type again with fewer values, since PostgreSQL cannot drop one."""
        name = self._name(enum)
        if not self.as_sql:
            uses = [tuple(row) for row in self._rows(_USES, name=name)]
        old = self.dialect.identifier_preparer.quote(f"{enum.name}_before")
        self.execute(f"ALTER TYPE {name} RENAME TO {old}")
        self.execute(CreateEnumType(enum))
        for table, column, array, default in uses:
            quoted = self.dialect.identifier_preparer.quote(column)
            suffix = "[]" if array else ""
            change = f"ALTER TABLE {table} ALTER COLUMN {quoted}"
            if default:
                self.execute(f"{change} DROP DEFAULT")
            self.execute(f"{change} TYPE {name}{suffix} USING {quoted}::text{suffix}::{name}{suffix}")
            if default:
                self.execute(f"{change} SET DEFAULT {default}")
        schema = f"{self.dialect.identifier_preparer.quote(enum.schema)}." if enum.schema else ""
        self.execute(f"DROP TYPE {schema}{old}")

    def _types_of(self, table: str) -> list[int]:
        return [] if self.as_sql else [row[0] for row in self._rows(_ENUMS_OF_TABLE, name=table)]

    def _drop_unused(self, types: list[int]) -> None:
        if types:
            for (name,) in self._rows(_UNUSED, types=types):
                self.execute(f"DROP TYPE {name}")

    def _values(self, enum: postgresql.ENUM) -> list[str] | None:
        values = [row[0] for row in self._rows(_VALUES, name=self._name(enum))]
        return values or None

    def _rows(self, statement: sa.TextClause, **parameters: object) -> Sequence[sa.Row[Any]]:
        assert self.connection is not None  # noqa: S101 - None only where SQL is written
        return self.connection.execute(statement, parameters).all()

    def _name(self, enum: postgresql.ENUM) -> str:
        schema = f"{self.dialect.identifier_preparer.quote(enum.schema)}." if enum.schema else ""
        return schema + self.dialect.identifier_preparer.quote(str(enum.name))

    def _format_table(self, name: str, schema: str | None) -> str:
        quote = self.dialect.identifier_preparer.quote
        return f"{quote(schema)}.{quote(name)}" if schema else quote(name)


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''").replace(":", r"\:") + "'"  # in `text()` a colon has a meaning
