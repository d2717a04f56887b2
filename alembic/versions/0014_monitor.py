"""Figures of requests, tasks and instances

Revision: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

BUCKETS = 18


def upgrade() -> None:
    """Create the tables of the monitor."""
    op.create_table(
        "monitor_figures",
        sa.Column("period", sa.Integer(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("slowest", sa.Float(), nullable=False),
        sa.Column("queries", sa.BigInteger(), nullable=False),
        sa.Column("database_seconds", sa.Float(), nullable=False),
        sa.Column("storage_calls", sa.BigInteger(), nullable=False),
        sa.Column("storage_seconds", sa.Float(), nullable=False),
        sa.Column("processor_count", sa.BigInteger(), nullable=False),
        sa.Column("processor_seconds", sa.Float(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        *(sa.Column(f"b{index:02}", sa.BigInteger(), nullable=False) for index in range(BUCKETS)),
        sa.PrimaryKeyConstraint("period", "since", "kind", "name", "method", "outcome"),
    )
    op.create_table(
        "monitor_instances",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("flush", sa.BigInteger(), nullable=False),
        sa.Column("platform", sa.String(length=32), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("start_seconds", sa.Float(), nullable=True),
        sa.Column("frozen_seconds", sa.Float(), nullable=False),
        sa.Column("processor_seconds", sa.Float(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=True),
        sa.Column("memory_limit", sa.BigInteger(), nullable=False),
        sa.Column("connections", sa.Integer(), nullable=False),
        sa.Column("connections_limit", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_monitor_instances_seen_at", "monitor_instances", ["seen_at"])
    op.create_table(
        "monitor_statements",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("caller", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    """Forget all figures."""
    op.drop_table("monitor_statements")
    op.drop_index("ix_monitor_instances_seen_at", table_name="monitor_instances")
    op.drop_table("monitor_instances")
    op.drop_table("monitor_figures")
