"""procrastinate's tables on SQLite: the same tables, columns, constraints and events as on PostgreSQL."""

from __future__ import annotations

from .schema import TABLES, schema_sql, schema_statements

__all__ = ["TABLES", "schema_sql", "schema_statements"]
