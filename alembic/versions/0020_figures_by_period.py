"""Figures by the periods that are shown

Revision: 0020
Revises: 0019

The monitor's day and week are read by hours and by four hours, which a flush adds to beside the minute. Figures from before
are in minutes or, when they are older, in hours: here they are added to both.
"""

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


# New code may have run before this: what it has flushed is in all periods.
OLD = f"since < coalesce((SELECT min(since) FROM monitor_figures WHERE period = {FOUR_HOURS}), {2**62})"


def upgrade() -> None:
    """Add minutes to their hours, and hours to their four hours."""
    add(MINUTE, HOUR)
    add(HOUR, FOUR_HOURS)


def add(period: int, to: int) -> None:
    """Add the figures of a period to a longer one."""
    maximum = "greatest" if op.get_context().dialect.name == "postgresql" else "max"
    start = f"since - since % {to}"
    new = ", ".join(f"sum({column})" for column in SUMS)
    sums = ", ".join(f"{column} = kept.{column} + excluded.{column}" for column in SUMS)
    op.execute(
        f"INSERT INTO monitor_figures AS kept (period, since, {KEY}, {', '.join(SUMS)}, slowest) "
        f"SELECT {to}, {start}, {KEY}, {new}, max(slowest) FROM monitor_figures "
        f"WHERE period = {period} AND {OLD} GROUP BY {start}, {KEY} "
        f"ON CONFLICT (period, since, {KEY}) DO UPDATE SET {sums}, slowest = {maximum}(kept.slowest, excluded.slowest)"
    )


def downgrade() -> None:
    """Remove four hours, and the hours whose minutes are there."""
    op.execute(f"DELETE FROM monitor_figures WHERE period = {FOUR_HOURS}")
    minutes = f"SELECT min(since) FROM monitor_figures WHERE period = {MINUTE}"
    op.execute(f"DELETE FROM monitor_figures WHERE period = {HOUR} AND since >= ({minutes})")
