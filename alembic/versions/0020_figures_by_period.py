"""Figures by the periods that are shown

Revision: 0020
Revises: 0019

The monitor's day and week are read by hours and by four hours, which a flush adds to beside the minute. Figures from before
are in minutes or, when they are older, in hours: here they are added to both.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

MINUTE, HOUR, FOUR_HOURS = 60, 3600, 14400
KEY = "kind, name, method, outcome"
SUMS = [
    *("count", "seconds", "queries", "database_seconds", "storage_calls", "storage_seconds"),
    *("processor_count", "processor_seconds", "bytes"),
    *(f"b{index:02}" for index in range(18)),
]


def upgrade() -> None:
    """Add minutes to their hours, and hours to their four hours."""
    first = op.get_bind().execute(
        sa.text("SELECT min(since) FROM monitor_figures WHERE period = :period"), {"period": FOUR_HOURS}
    )
    # New code may have run before this: what it has flushed is in all periods.
    before = first.scalar() or 2**62
    add(MINUTE, HOUR, before)
    add(HOUR, FOUR_HOURS, before)


def add(period: int, to: int, before: int) -> None:
    """Add the figures of a period to a longer one."""
    maximum = "greatest" if op.get_context().dialect.name == "postgresql" else "max"
    start = f"since - since % {to}"
    new = ", ".join(f"sum({column})" for column in SUMS)
    sums = ", ".join(f"{column} = kept.{column} + excluded.{column}" for column in SUMS)
    op.get_bind().execute(
        sa.text(
            f"INSERT INTO monitor_figures AS kept (period, since, {KEY}, {', '.join(SUMS)}, slowest) "
            f"SELECT {to}, {start}, {KEY}, {new}, max(slowest) FROM monitor_figures "
            f"WHERE period = :period AND since < :before GROUP BY {start}, {KEY} "
            f"ON CONFLICT (period, since, {KEY}) DO UPDATE SET {sums}, slowest = {maximum}(kept.slowest, excluded.slowest)"
        ),
        {"period": period, "before": before},
    )


def downgrade() -> None:
    """Remove four hours, and the hours whose minutes are there."""
    execute = op.get_bind().execute
    execute(sa.text("DELETE FROM monitor_figures WHERE period = :period"), {"period": FOUR_HOURS})
    minutes = "SELECT min(since) FROM monitor_figures WHERE period = :minute"
    execute(
        sa.text(f"DELETE FROM monitor_figures WHERE period = :hour AND since >= ({minutes})"),
        {"hour": HOUR, "minute": MINUTE},
    )
