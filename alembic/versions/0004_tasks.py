"""The queue of tasks

procrastinate's own tables, as version 3.10 of it makes them on PostgreSQL and as its connector for SQLite makes them
there, and a table for what a task tells of itself.

Revision: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the queue."""
    if _is_sqlite():
        from fastopp.tasks.queue.sqlite import schema_statements

        statements = schema_statements()
    else:
        from fastopp.tasks.queue.postgres.schema import schema_statements

        statements = schema_statements()
    for statement in statements:
        _execute(statement)
    json = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "task_runs",
        sa.Column(
            "job_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("procrastinate_jobs.id", ondelete="CASCADE", name="fk_task_runs_job_id_procrastinate_jobs"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("done", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False, server_default=""),
        sa.Column("result", json, nullable=True),
        sa.Column("error", sa.Text(), nullable=False, server_default=""),
        sa.Column("place", json, nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.current_timestamp()),
    )


def downgrade() -> None:
    """Drop the queue, and with it what waits there."""
    op.drop_table("task_runs")
    if _is_sqlite():
        from fastopp.tasks.queue.sqlite import TABLES

        for table in TABLES:
            op.drop_table(table)
    else:
        from fastopp.tasks.queue.postgres.schema import drop_statements

        for statement in drop_statements():
            _execute(statement)


def _is_sqlite() -> bool:
    return context.get_context().dialect.name == "sqlite"


def _execute(statement: str) -> None:
    """As it is: a colon is no parameter here."""
    op.execute(sa.text(statement.replace(":", "\\:")))
