"""An index of the jobs of a worker

Revision: 0019
Revises: 0018

When a worker ends, PostgreSQL looks for the jobs of any status that refer to it. procrastinate's index has those that run,
so it read the whole table. On SQLite the index is there.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

NAME, TABLE = "ix_procrastinate_jobs_worker_id", "procrastinate_jobs"


def upgrade() -> None:
    """Create the index."""
    if op.get_context().dialect.name == "postgresql":
        where = sa.text("worker_id IS NOT NULL")
        op.create_index(NAME, TABLE, ["worker_id"], postgresql_where=where, if_not_exists=True)


def downgrade() -> None:
    """Drop it."""
    if op.get_context().dialect.name == "postgresql":
        op.drop_index(NAME, table_name=TABLE, if_exists=True)
