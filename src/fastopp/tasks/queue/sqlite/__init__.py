"""A procrastinate connector for SQLite. See README.md here.

`SQLiteConnector` itself is in `connector`, so that the schema can be had without importing procrastinate.
"""

from __future__ import annotations

from .schema import TABLES, schema_sql, schema_statements

__all__ = ["TABLES", "schema_sql", "schema_statements"]
