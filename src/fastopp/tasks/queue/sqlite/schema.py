"""The tables that procrastinate works on, in SQLite's own words."""

from __future__ import annotations

import sqlite3
from importlib import resources

TABLES = ("procrastinate_events", "procrastinate_periodic_defers", "procrastinate_jobs", "procrastinate_workers")
"""Procrastinate's tables, in an order in which they can be dropped. Their indexes and triggers go with them."""


def schema_sql() -> str:
    """The whole schema as one script, for `sqlite3 file.db < schema.sql` or `Connection.executescript`."""
    return (resources.files(__package__ or "") / "schema.sql").read_text(encoding="utf-8")


def schema_statements() -> list[str]:
    """The schema, one statement each, for a migration tool that executes one at a time."""
    statements = []
    statement = ""
    for line in schema_sql().splitlines(keepends=True):
        if line.startswith("--"):
            continue
        statement += line
        if sqlite3.complete_statement(statement):  # it knows that a trigger holds semicolons
            if statement.strip():
                statements.append(statement.strip().removesuffix(";"))
            statement = ""
    return statements
