"""The migration of a project's own tables works on a new database and on the old one."""

from __future__ import annotations

from fastopp.cli.adopt.migrating import tolerant

MIGRATION = """\
import sqlalchemy as sa
from alembic import op

def upgrade():
    op.create_table('orders',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('at', sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint('id')
    )
    with op.batch_alter_table('orders', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_orders_at'), ['at'], unique=False)
    with op.batch_alter_table('users', schema=None) as batch_op:
        batch_op.add_column(sa.Column('seen', sa.DateTime(timezone=True), nullable=True))

def downgrade():
    op.drop_table('orders')
"""


def test_what_exists_is_left_alone() -> None:
    text = tolerant(MIGRATION)
    assert "sa.PrimaryKeyConstraint('id'), if_not_exists=True" in text
    assert "unique=False, if_not_exists=True)" in text
    assert "        if lacks('users', 'seen'):\n            batch_op.add_column(sa.Column('seen'" in text


def test_existing_times_get_their_timezone_on_postgresql() -> None:
    text = tolerant(MIGRATION)
    assert "TIMES = {'orders': ['at'], 'users': ['seen']}" in text
    assert text.count("say_that_times_are_utc()") == 2
    compile(text, "0008.py", "exec")


def test_without_times_nothing_is_added() -> None:
    assert "TIMES" not in tolerant("def upgrade():\n    op.create_table('a', sa.Column('id', sa.Integer()))\n")
