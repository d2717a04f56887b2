"""Requests that carry an Idempotency-Key

Revision: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table that knows which requests were served, and with what."""
    op.create_table(
        "task_requests",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("task", sa.String(length=128), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=True),
        sa.Column("answer", sa.JSON(), nullable=True),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest"),
    )
    # Clean-up asks which jobs have a key.
    op.create_index("ix_task_requests_job_id", "task_requests", ["job_id"])


def downgrade() -> None:
    """Forget them."""
    op.drop_index("ix_task_requests_job_id", table_name="task_requests")
    op.drop_table("task_requests")
