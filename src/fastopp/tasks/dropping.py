"""Drop the queue's tables: for emergency access, which creates everything again."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

OURS = ("task_requests", "task_runs", "task_traces", "task_wakes")
QUEUE = "procrastinate_"


def drop_queue(connection: Connection) -> list[str]:
    """Drop the tables of tasks, and on PostgreSQL the functions and types that came with them; the tables' names."""
    there = inspect(connection).get_table_names()
    names = [name for name in there if name in OURS]
    names += [name for name in there if name.startswith(QUEUE)]
    if connection.dialect.name == "postgresql":
        from fastopp.tasks.queue.postgres.schema import drop_statements  # noqa: PLC0415 - one of the two

        statements = [f"DROP TABLE {name}" for name in names if name in OURS]
        for statement in drop_statements():
            kind, name = statement.split()[1:3]
            statements.append(f"DROP {kind} IF EXISTS {name} CASCADE")
    else:
        from fastopp.tasks.queue.sqlite import TABLES  # noqa: PLC0415 - as above

        # What refers to another goes first.
        statements = [f"DROP TABLE {name}" for name in (*OURS, *TABLES) if name in names]
    for statement in statements:
        connection.execute(text(statement))
    return names
