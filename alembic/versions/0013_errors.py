"""Errors, and the occurrences that are kept of them

Revision: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of errors: one row for each kind, and at most 50 occurrences of it."""
    op.create_table(
        "error_groups",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=200), nullable=False),
        sa.Column("message", sa.String(length=500), nullable=False),
        sa.Column("place", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("retries", sa.BigInteger(), nullable=False),
        sa.Column("stored", sa.BigInteger(), nullable=False),
        sa.Column("first_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.Column("release", sa.String(length=100), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_release", sa.String(length=100), nullable=True),
        sa.Column("resolved_from", sa.String(length=100), nullable=False),
        sa.Column("regressed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("alerted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("fingerprint"),
        sqlite_autoincrement=True,  # an old address must not lead to a new error
    )
    # The page lists by state, the newest first; clean-up looks for old ones.
    op.create_index("ix_error_groups_state_last_seen", "error_groups", ["state", "last_seen", "id"])
    op.create_index("ix_error_groups_last_seen", "error_groups", ["last_seen", "id"])
    op.create_table(
        "error_events",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("group_id", sa.Integer(), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("context", sa.JSON(), nullable=False),
        sa.Column("request_id", sa.String(length=128), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("route", sa.String(length=300), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("task", sa.String(length=128), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("release", sa.String(length=100), nullable=False),
        sa.Column("instance", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["error_groups.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("group_id", "slot", name="uq_error_events_group_id_slot"),
    )
    op.create_index("ix_error_events_request_id", "error_events", ["request_id"])
    op.create_index("ix_error_events_at", "error_events", ["at", "id"])


def downgrade() -> None:
    """Forget the errors."""
    op.drop_index("ix_error_events_at", table_name="error_events")
    op.drop_index("ix_error_events_request_id", table_name="error_events")
    op.drop_table("error_events")
    op.drop_index("ix_error_groups_last_seen", table_name="error_groups")
    op.drop_index("ix_error_groups_state_last_seen", table_name="error_groups")
    op.drop_table("error_groups")
