"""Sessions that can be revoked, and what accounts know of their users

Revision: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

COLUMNS = {
    "name": sa.String(length=100),
    "email_unconfirmed_since": sa.DateTime(timezone=True),
    "time_zone": sa.String(length=64),
    "language": sa.String(length=35),
    "old_tokens_ended_at": sa.DateTime(timezone=True),
}


def upgrade() -> None:
    """Add the columns of accounts and the table of sessions."""
    present = set()  # a project of FastOpp 0.4.8 may have added such a column, like `name`
    if not context.is_offline_mode():
        present = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("users")}
    for name, type_ in COLUMNS.items():
        if name not in present:
            op.add_column("users", sa.Column(name, type_, nullable=True))
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=True),
        sa.Column("scopes", sa.String(length=100), nullable=True),
        sa.Column("secret_digest", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("address", sa.String(length=100), nullable=True),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_sessions_user_id", "sessions", ["user_id"])
    # Clean-up asks which have expired.
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
    # The admin panel shows the newest entries, and clean-up removes the oldest.
    op.create_index("ix_audit_logs_timestamp", "audit_logs", ["timestamp"])
    op.create_index("ix_audit_logs_user_id", "audit_logs", ["user_id"])


def downgrade() -> None:
    """End all sessions, and forget the columns."""
    op.drop_index("ix_audit_logs_user_id", table_name="audit_logs")
    op.drop_index("ix_audit_logs_timestamp", table_name="audit_logs")
    op.drop_index("ix_sessions_expires_at", table_name="sessions")
    op.drop_index("ix_sessions_user_id", table_name="sessions")
    op.drop_table("sessions")
    for name in reversed(COLUMNS):
        op.drop_column("users", name)
