"""procrastinate's tables on PostgreSQL."""
