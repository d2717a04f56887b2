"""A cache that all instances share

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
    """Create the tables of cached values and of the versions of their tags."""
    op.create_table(
        "cache_entries",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("versions", sa.String(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("fresh_until", sa.Float(53), nullable=False),
        sa.Column("kept_until", sa.Float(53), nullable=False),
        sa.Column("stamp", sa.String(length=32), nullable=False),
        sa.Column("lease", sa.String(length=32), nullable=False),
        sa.Column("leased_until", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("ix_cache_entries_kept_until_size", "cache_entries", ["kept_until", "key", "size"])
    op.create_table(
        "cache_tags",
        sa.Column("tag", sa.String(length=200), nullable=False),
        sa.Column("version", sa.String(length=32), nullable=False),
        sa.Column("changed_at", sa.Float(53), nullable=False),
        sa.PrimaryKeyConstraint("tag"),
    )


def downgrade() -> None:
    """Forget what was cached."""
    op.drop_table("cache_tags")
    op.drop_index("ix_cache_entries_kept_until_size", table_name="cache_entries")
    op.drop_table("cache_entries")
