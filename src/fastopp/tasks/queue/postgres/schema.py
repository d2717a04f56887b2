"""procrastinate's tables on PostgreSQL, for the migration: procrastinate_3_10.sql, taken apart into statements.

One statement at a time is what a transaction of a migration behind a pooler can execute.
"""

from __future__ import annotations

import re
from importlib import resources

# A piece of SQL that holds no end of a statement: a comment, a text, a body between dollars, or any other character.
_PIECES = re.compile(r"--[^\n]*|'(?:[^']|'')*'|\$\$.*?\$\$|;|.", re.DOTALL)


def schema_statements() -> list[str]:
    """The statements of the schema."""
    text = (resources.files(__package__ or "") / "procrastinate_3_10.sql").read_text(encoding="utf-8")
    statements: list[str] = []
    pieces: list[str] = []
    for piece in _PIECES.findall(text):
        if piece == ";":
            statements.append("".join(pieces).strip())
            pieces = []
        elif not piece.startswith("--"):
            pieces.append(piece)
    return [statement for statement in (*statements, "".join(pieces).strip()) if statement]


def drop_statements() -> list[str]:
    """Return the statements that undo `schema_statements`: what it has created, the last first."""
    created = [
        (kind, name)
        for statement in schema_statements()
        for kind, name in re.findall(r"\ACREATE (TYPE|TABLE|FUNCTION) (\w+)", statement)
    ]
    return [f"DROP {kind} {name} CASCADE" for kind, name in reversed(created)]
