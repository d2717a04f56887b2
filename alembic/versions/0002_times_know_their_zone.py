"""Times know their zone

Revision: 0002
Revises: 0001

They were UTC without saying so. On SQLite the stored text stays as it is, and is read as UTC.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIMES = {
    "products": ("created_at", "updated_at"),
    "webinar_registrants": ("webinar_date", "registration_date", "created_at", "updated_at"),
    "audit_logs": ("timestamp",),
}


def upgrade() -> None:
    """Say that the times are UTC."""
    change_type("timestamp with time zone")


def downgrade() -> None:
    """Take the zone away; the times stay UTC."""
    change_type("timestamp without time zone")


def change_type(new: str) -> None:
    """Rewrite each table once, whatever the zone of the server or of the session."""
    if op.get_context().dialect.name != "postgresql":
        return
    # USING alone does for times without a zone. A column that somebody gave a zone by hand passes through a
    # time without one and back, which is the same moment only if the session's zone is UTC.
    op.execute("SET LOCAL TIME ZONE 'UTC'")
    for table, columns in TIMES.items():
        changes = ", ".join(
            f"ALTER COLUMN \"{column}\" TYPE {new} USING \"{column}\" AT TIME ZONE 'UTC'" for column in columns
        )
        op.execute(f"ALTER TABLE {table} {changes}")
