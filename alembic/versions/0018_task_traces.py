"""The span that queued a task

Revision: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table of spans that queued tasks."""
    op.create_table(
        "task_traces",
        sa.Column(
            "job_id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            sa.ForeignKey("procrastinate_jobs.id", ondelete="CASCADE", name="fk_task_traces_job_id_procrastinate_jobs"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("traceparent", sa.String(length=64), nullable=False),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_table("task_traces")
