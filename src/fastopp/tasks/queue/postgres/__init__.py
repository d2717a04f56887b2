"""procrastinate on PostgreSQL: its tables, and a connector."""
