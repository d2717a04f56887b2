"""The span that queued a task

Revision: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
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
