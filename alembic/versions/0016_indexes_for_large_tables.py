"""Indexes for large tables

Revision: 0016
Revises: 0015

Every foreign key, order and filter of FastOpp's pages, of the admin and of the demo has an index, so that their cost does
not grow with the tables. On PostgreSQL the tables cannot be written meanwhile, but read. 1,000,000 rows in each take about
a minute of a processor (docs/performance.md).
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_LISTED = ("webinar_date DESC", "webinar_title", "lower(name)", "id")
_LATEST = ("webinar_date", "id")

# table, name, columns and expressions
INDEXES = (
    ("users", "ix_users_email_lower", ("lower(email)",)),
    ("users", "ix_users_name", ("name", "email")),
    ("users", "ix_users_is_active", ("is_active", "email")),
    ("users", "ix_users_is_superuser", ("is_superuser", "email")),
    ("users", "ix_users_is_staff", ("is_staff", "email")),
    ("users", "ix_users_group", ("group", "email")),
    ("account_links", "ix_account_links_purpose", ("purpose", "created_at")),
    ("audit_logs", "ix_audit_logs_action", ("action", "timestamp", "id")),
    ("audit_logs", "ix_audit_logs_model_name", ("model_name", "timestamp", "id")),
    ("failed_attempts", "ix_failed_attempts_last_failure", ("last_failure",)),
    ("task_requests", "ix_task_requests_claimed_at", ("claimed_at",)),
    ("task_wakes", "ix_task_wakes_expires_at", ("expires_at",)),
    ("products", "ix_products_name", ("name", "id")),
    ("products", "ix_products_name_lower", ("lower(name)", "id")),
    ("products", "ix_products_category_name", ("category", "name", "id")),
    ("products", "ix_products_in_stock_name", ("in_stock", "name", "id")),
    ("products", "ix_products_price", ("price", "id")),
    ("products", "ix_products_created_at", ("created_at", "id")),
    ("products", "ix_products_category", ("category", "lower(name)", "id")),
    (
        "products",
        "ix_products_category_down",
        ("(category IS NULL)", "category DESC", "lower(name) DESC", "id DESC"),
    ),
    ("products", "ix_products_in_stock", ("in_stock", "lower(name)", "id")),
    ("webinar_registrants", "ix_webinar_registrants_listed", _LISTED),
    ("webinar_registrants", "ix_webinar_registrants_public", ("is_public", *_LISTED)),
    ("webinar_registrants", "ix_webinar_registrants_assigned", ("assigned_sales_rep", *_LISTED)),
    ("webinar_registrants", "ix_webinar_registrants_in_state", ("status", *_LISTED)),
    ("webinar_registrants", "ix_webinar_registrants_webinar_date", _LATEST),
    ("webinar_registrants", "ix_webinar_registrants_name", ("name", *_LATEST)),
    ("webinar_registrants", "ix_webinar_registrants_company", ("company", *_LATEST)),
    ("webinar_registrants", "ix_webinar_registrants_webinar_title", ("webinar_title", *_LATEST)),
    ("webinar_registrants", "ix_webinar_registrants_status", ("status", *_LATEST)),
    ("webinar_registrants", "ix_webinar_registrants_group", ("group", *_LATEST)),
)

# SQLite reads a table by its keys for the oldest waiting job, unless an index has the keys of those alone.
_ON_SQLITE = ("procrastinate_jobs", "ix_procrastinate_jobs_todo", "status = 'todo'")

# The same with a condition: rare rows of large tables.
PARTIAL = (
    ("mail_messages", "ix_mail_messages_bodies", "text IS NOT NULL"),
    ("procrastinate_jobs", "ix_procrastinate_jobs_failed", "status = 'failed'"),
    ("procrastinate_jobs", "ix_procrastinate_jobs_cancelled", "status IN ('cancelled', 'aborting', 'aborted')"),
)


def upgrade() -> None:
    """Create those whose table and columns are there: a project may have changed the demo's.

    Those that are there already are skipped: of a large table they may have been built with CREATE INDEX CONCURRENTLY.
    """
    for table, name, parts in INDEXES:
        if _has(table, parts):
            columns = [sa.text(part) if _is_expression(part) else part for part in parts]
            op.create_index(name, table, columns, if_not_exists=True)
    on_sqlite = op.get_context().dialect.name == "sqlite"
    for table, name, condition in (*PARTIAL, *([_ON_SQLITE] if on_sqlite else [])):
        where = sa.text(condition)
        op.create_index(name, table, ["id"], sqlite_where=where, postgresql_where=where, if_not_exists=True)


def downgrade() -> None:
    """Drop them."""
    for table, name, *_ in reversed((*INDEXES, *PARTIAL, _ON_SQLITE)):
        op.drop_index(name, table_name=table, if_exists=True)


def _is_expression(part: str) -> bool:
    return " " in part or "(" in part


def _has(table: str, parts: tuple[str, ...]) -> bool:
    if context.is_offline_mode():
        return True
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table(table):
        return False
    wanted = {part.removeprefix("lower").lstrip("(").partition(" ")[0].removesuffix(")") for part in parts}
    return wanted <= {column["name"] for column in inspector.get_columns(table)}
