"""Mails that are queued, sent and failed

Revision: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of mails, one row a recipient."""
    op.create_table(
        "mail_messages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("template", sa.String(length=200), nullable=False),
        sa.Column("recipient", sa.String(length=320), nullable=False),
        sa.Column("reply_to", sa.String(length=320), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=True),
        sa.Column("html", sa.Text(), nullable=True),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("message_id", sa.String(length=320), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,  # an old job must not find a new mail
    )
    # The page lists and counts by state; clean-up looks for old ones.
    op.create_index("ix_mail_messages_state_id", "mail_messages", ["state", "id"])
    op.create_index("ix_mail_messages_created_at", "mail_messages", ["created_at"])


def downgrade() -> None:
    """Forget the mails, those that wait included."""
    op.drop_index("ix_mail_messages_created_at", table_name="mail_messages")
    op.drop_index("ix_mail_messages_state_id", table_name="mail_messages")
    op.drop_table("mail_messages")
